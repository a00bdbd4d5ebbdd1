"""What a person sees while a search runs: a live table, or plain lines where there is none."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.live import Live
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

_MOST, _FEWEST = 16, 3  # trials on the screen
_ANY_WIDTH = 10_000
_FRAME = 10  # lines above and below them
_STOPPING = "stopping: trials write their checkpoints; Ctrl-C again stops at once"
_log = logging.getLogger(__name__)
_STYLE = {"COMPLETE": "green", "PRUNED": "yellow", "FAILED": "red", "RUNNING": "cyan"}


@dataclass
class _Row:
    settings: Mapping[str, Any]
    state: str = "RUNNING"
    reason: str = ""
    iteration: int = 0
    value: float | None = None
    agent_steps: float = 0.0
    speed: float = 0.0


@dataclass
class Progress:
    """Follow a search; an observer of it (see ``search.conductor``).

    Args:
        console: where to write; a terminal gets a live table, anything else one line an event.
        name: of the run.
        metric: the objective's scalar.
        mode: ``max`` or ``min``.
        trials: how many are planned.
        max_iterations: of a trial.
        is_stopping: tells whether the search was asked to stop.
    """

    console: Console
    name: str
    metric: str
    mode: str
    trials: int
    max_iterations: int
    is_stopping: Callable[[], bool] = lambda: False
    rows: dict[int, _Row] = field(default_factory=dict)
    begin: float = field(default_factory=time.monotonic)
    _live: Live | None = None

    def __enter__(self) -> Self:
        """Begin to show the table where the output is a terminal."""
        if self.console.is_terminal:
            self._live = Live(
                get_renderable=self.table,
                console=self.console,
                refresh_per_second=4,
                redirect_stdout=False,  # what others print goes to run.log
                redirect_stderr=False,
            )
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the last state of the table on the screen."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def started(self, number: int, settings: Mapping[str, Any], iteration: int) -> None:
        """Take note of a trial that begins, or goes on after ``iteration``."""
        self.rows[number] = _Row(settings, iteration=iteration)
        going_on = f", goes on after iteration {iteration}" if iteration else ""
        self._line(f"trial {number}: starts with {shown_settings(settings)}{going_on}")

    def reported(self, number: int, report: Mapping[str, Any]) -> None:
        """Take note of an iteration's report."""
        row = self.rows[number]
        row.iteration = int(report["iteration"])
        row.value = float(report.get("value", report[self.metric]))
        row.agent_steps = float(report["agent_steps"])
        row.speed = float(report["agent_steps_per_second"])

    def ended(self, number: int, state: str, reason: str) -> None:
        """Take note of a trial's end."""
        row = self.rows[number]
        row.state, row.reason = state, reason
        value = "no value" if row.value is None else f"{self.metric} {row.value:.4g}"
        self._line(
            f"trial {number}: {state} at iteration {row.iteration}, {value} ({reason}); "
            f"{self._summary()}"
        )

    def _line(self, text: str) -> None:
        _log.info(text)
        if self._live is None:
            self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _best(self) -> tuple[int, float] | None:
        """Return the number and value of the best complete trial, else of any that reported."""
        found = [(n, r.value) for n, r in self.rows.items() if r.value is not None]
        usable = [(n, v) for n, v in found if self.rows[n].state != "FAILED"]
        finished = [(n, v) for n, v in usable if self.rows[n].state == "COMPLETE"]
        if not usable:
            return None
        sign = 1 if self.mode == "max" else -1
        return max(finished or usable, key=lambda pair: sign * pair[1])

    def _summary(self) -> str:
        states = [row.state for row in self.rows.values()]
        ended = sum(state != "RUNNING" for state in states)
        elapsed = time.monotonic() - self.begin
        parts = [f"{ended}/{self.trials} trials ended"]
        best = self._best()
        if best is not None:
            parts.append(f"best so far: trial {best[0]} with {best[1]:.4g}")
        speed = sum(row.speed for row in self.rows.values() if row.state == "RUNNING")
        if speed:
            parts.append(f"{speed:,.0f} agent steps/s")
        parts.append(f"{clock(elapsed)} elapsed")
        if 0 < ended < self.trials:
            parts.append(f"about {clock(elapsed * (self.trials - ended) / ended)} left")
        return ", ".join(parts)

    def table(self) -> Group:
        """Draw the table: running trials and the latest to end, with a summary below.

        A line a trial and as many as the screen holds: a column a setting, or where that is too
        wide, all settings in one column that is cut off.
        """
        numbers = self._chosen()
        names = list(dict.fromkeys(name for n in numbers for name in self.rows[n].settings))
        table = self._table(numbers, names)
        unbounded = self.console.options.update(max_width=_ANY_WIDTH)
        if Measurement.get(self.console, unbounded, table).maximum > self.console.width:
            table = self._table(numbers, None)
        return Group(table, Text(_STOPPING if self.is_stopping() else self._summary()))

    def _chosen(self) -> list[int]:
        """Return the trials that are shown: those that run, the latest to end, and the best."""
        room = max(_FEWEST, min(_MOST, self.console.height - _FRAME))
        running = [n for n, row in self.rows.items() if row.state == "RUNNING"]
        others = [n for n in self.rows if n not in running]
        ended = others[max(0, len(others) + len(running) - room) :]
        best = self._best()
        return sorted({*running, *ended, *([best[0]] if best else [])})

    def _table(self, numbers: list[int], names: list[str] | None) -> Table:
        best = self._best()
        table = Table(
            title=f"search {self.name}", title_justify="left", box=SIMPLE_HEAD, pad_edge=False
        )
        for heading in ("trial", "state"):
            table.add_column(heading, no_wrap=True)
        for heading in ("iter.", self.metric.replace("_", "\n"), "steps/s"):
            table.add_column(heading, justify="right", no_wrap=True)
        for name in names or ():
            words = name.rpartition(".")[2].replace("_", "\n")
            table.add_column(words, justify="right", no_wrap=True)
        if names is None:
            table.add_column("settings")  # alone in being made narrower
        for number in numbers:
            row = self.rows[number]
            cells = (
                [Text(shown_settings(row.settings), no_wrap=True, overflow="ellipsis")]
                if names is None
                else [shown_value(row.settings.get(name, "")) for name in names]
            )
            table.add_row(
                f"{number} ★" if best is not None and number == best[0] else str(number),
                Text(row.state, style=_STYLE.get(row.state, "")),
                f"{row.iteration}/{self.max_iterations}",
                "" if row.value is None else f"{row.value:.4g}",
                f"{row.speed:,.0f}" if row.state == "RUNNING" and row.speed else "",
                *cells,
            )
        return table


def shown_settings(settings: Mapping[str, Any]) -> str:
    """Return settings on one line, by the last part of their names."""
    pairs = (f"{name.rpartition('.')[2]}={shown_value(value)}" for name, value in settings.items())
    return " ".join(pairs) or "the fixed settings and defaults"


def shown_value(value: Any) -> str:
    """Return a value as people write it: floats to three digits, true and false as in YAML."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def clock(seconds: float) -> str:
    """Return a duration as minutes and seconds, or hours and minutes."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes}:{rest:02d}"
