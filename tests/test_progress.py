"""What a person sees while a search runs."""

from __future__ import annotations

import io
import sys

import pytest
from rich.console import Console

from biomarl_tune.progress import Progress, clock, shown_settings, shown_value


def follow(*, terminal, mode="max"):
    """Return a progress display of four trials of up to 9 iterations, and what it writes to."""
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=terminal, width=100, color_system=None)
    return Progress(console, "demo", "episode_return_mean", mode, 4, 9), screen


def report(iteration, value):
    """Return what the display reads of a report."""
    return {
        "iteration": iteration,
        "episode_return_mean": value,
        "agent_steps": 1000.0 * iteration,
        "agent_steps_per_second": 5000.0,
    }


def drawn(progress):
    """Return the table as text."""
    console = Console(file=io.StringIO(), width=100)
    console.print(progress.table())
    return console.file.getvalue()


def test_without_a_terminal_there_is_a_line_for_each_start_and_end():
    """Whole, however long, and none for a report."""
    progress, screen = follow(terminal=False)

    with progress:
        progress.started(0, {"env.pheromone_decay": 0.5, "model.hidden_dim": 64}, 0)
        progress.reported(0, report(1, 7.0))
        progress.ended(0, "PRUNED", "asha: 7 at iteration 1 is 2 of 2, the best goes on")

    first, second = screen.getvalue().splitlines()
    assert first == "trial 0: starts with pheromone_decay=0.5 hidden_dim=64"
    assert second.startswith("trial 0: PRUNED at iteration 1, episode_return_mean 7 (asha: 7 at")
    assert "1/4 trials ended, best so far: trial 0 with 7" in second


def test_a_trial_that_goes_on_says_from_where():
    """After a resume."""
    progress, screen = follow(terminal=False)

    progress.started(2, {}, 5)

    said = screen.getvalue()
    assert said == (
        "trial 2: starts with the fixed settings and defaults, goes on after iteration 5\n"
    )


def test_the_table_shows_every_trial_and_marks_the_best():
    """The best complete one: a pruned trial with a higher value does not count."""
    progress, _ = follow(terminal=False)
    for number, value in enumerate((3.0, 9.0, 5.0)):
        progress.started(number, {"model.hidden_dim": 64}, 0)
        progress.reported(number, report(9, value))
    progress.ended(0, "COMPLETE", "")
    progress.ended(1, "PRUNED", "")

    lines = drawn(progress).splitlines()

    assert any("0 ★" in line and "COMPLETE" in line and "9/9" in line for line in lines)
    assert any("RUNNING" in line and "5,000" in line and "64" in line for line in lines)
    assert "best so far: trial 0 with 3, 5,000 agent steps/s" in lines[-1]


def test_a_narrow_and_low_screen_gets_a_line_a_trial_and_the_summary():
    """The latest trials and the best; settings share a column that is cut off."""
    progress, _ = follow(terminal=False)
    progress.console.size = (60, 14)
    settings = {f"ppo.a_rather_long_name_{i}": i for i in range(6)}
    for number in range(9):
        progress.started(number, settings, 0)
        progress.reported(number, report(1, float(-number)))
        progress.ended(number, "COMPLETE", "")

    progress.console.print(progress.table())

    lines = progress.console.file.getvalue().splitlines()[2 * 9 :]  # starts and ends come first
    shown = [line.split()[0] for line in lines if "COMPLETE" in line]
    assert shown == ["0", "5", "6", "7", "8"]
    assert max(map(len, lines)) <= 60
    assert "…" in next(line for line in lines if "COMPLETE" in line)


def test_with_mode_min_the_lowest_is_the_best():
    """For an objective such as seconds."""
    progress, _ = follow(terminal=False, mode="min")
    for number, value in enumerate((3.0, 9.0)):
        progress.started(number, {}, 0)
        progress.reported(number, report(9, value))
        progress.ended(number, "COMPLETE", "")

    assert "best so far: trial 0 with 3" in drawn(progress)


def test_a_failed_trial_is_never_the_best():
    """Whatever it reported before."""
    progress, _ = follow(terminal=False)
    progress.started(0, {}, 0)
    progress.reported(0, report(1, 99.0))
    progress.ended(0, "FAILED", "not finite")

    assert "best so far" not in drawn(progress)


def test_a_terminal_gets_the_table_alone():
    """It stays on the screen at the end; stdout and stderr are left as they are."""
    progress, screen = follow(terminal=True)
    before = sys.stdout, sys.stderr

    with progress:
        assert (sys.stdout, sys.stderr) == before
        progress.started(0, {}, 0)

    assert "search demo" in screen.getvalue()
    assert "starts with" not in screen.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0:00"), (59.6, "1:00"), (754, "12:34"), (3_720, "1 h 02 min")]
)
def test_clock(seconds, text):
    """Minutes and seconds, from an hour on hours and minutes."""
    assert clock(seconds) == text


@pytest.mark.parametrize(("value", "text"), [(0.123456, "0.123"), (64, "64"), (True, "true")])
def test_shown_value(value, text):
    """Floats to three digits, the rest as in YAML."""
    assert shown_value(value) == text
    assert shown_settings({"model.x": value}) == f"x={text}"


def test_a_search_that_was_asked_to_stop_says_so():
    """And how to stop it at once."""
    progress, _ = follow(terminal=True)
    progress.started(0, {"model.hidden_dim": 64}, 0)
    assert "Ctrl-C" not in drawn(progress)

    progress.is_stopping = lambda: True

    assert "stopping: trials write their checkpoints; Ctrl-C again" in drawn(progress)
