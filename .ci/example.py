"""Renew results/example and what README.md shows of it: ``.ci/example.py results/pheromone``.

With a second argument, a name such as ``example-2``, only that folder beside it is renewed. The
copy is small: no checkpoints and no events, and the record's scalars keep six digits.
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import sqlite3
import sys
import time
from pathlib import Path

from rich.console import Console

from biomarl_tune import load_evaluation
from biomarl_tune.analysis.trials import write_tables
from biomarl_tune.analysis.verdict import verdict_lines, verdict_of
from biomarl_tune.progress import Progress
from biomarl_tune.search.study import Study

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "results" / "example"
README = ROOT / "README.md"
BEGIN, END = "<!-- shown: .ci/example.py writes this -->\n", "<!-- shown: end -->\n"
FILES = ("spec.yaml", "experiment.json", "study.db", "evaluation.parquet")
WIDTH = 100


def copy(run_dir: Path, target: Path) -> None:
    """Copy a finished run into a folder for examples."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    with Study.open(run_dir):
        pass  # whoever closes it last folds the write-ahead log into the file
    for name in FILES:
        shutil.copy(run_dir / name, target)
    with contextlib.closing(sqlite3.connect(target / "study.db")) as database:
        for sequence, text in database.execute("SELECT sequence, scalars FROM reports").fetchall():
            short = json.dumps({name: _short(value) for name, value in json.loads(text).items()})
            database.execute("UPDATE reports SET scalars = ? WHERE sequence = ?", (short, sequence))
        database.commit()
        database.execute("PRAGMA journal_mode = DELETE")
        database.execute("PRAGMA page_size = 512")
        database.execute("VACUUM")
    with Study.open(target, read_only=True) as study:
        write_tables(study)


def _short(value: float | None) -> float | None:
    return value if value is None or value == int(value) else float(f"{value:.6g}")


def shown() -> str:
    """Return what `make run` leaves on the screen at the end, from the record of the example."""
    screen = Console(file=io.StringIO(), width=WIDTH)
    with Study.open(EXAMPLE, read_only=True) as study:
        screen.print(_table(study).table())
        screen.print()
        for line in verdict_lines(verdict_of(study, load_evaluation(EXAMPLE))):
            screen.print(line, markup=False, highlight=False)
        screen.print(f"Everything is in results/{study.spec.name}")
    return "\n".join(line.rstrip() for line in screen.file.getvalue().splitlines())


def _table(study: Study) -> Progress:
    objective = study.spec.objective[0]
    progress = Progress(
        Console(file=io.StringIO(), width=WIDTH, height=40),
        study.spec.name,
        objective.metric,
        objective.mode,
        study.spec.search.trials,
        study.spec.stopping.max_iterations,
        begin=time.monotonic() - study.seconds_spent,
    )
    for trial in study.trials():
        progress.started(trial.number, trial.settings, 0)
        if trial.last is not None:
            progress.reported(trial.number, {"iteration": trial.iteration, **trial.last.scalars})
        progress.ended(trial.number, trial.state, trial.stopped_because)
    return progress


def block() -> str:
    """Return the part of README.md that shows a run's output."""
    return f"{BEGIN}```text\n$ make run\n{shown()}\n```\n{END}"


def main() -> None:
    """Renew the example from a run, if one is given, and README.md."""
    run, *name = sys.argv[1:] or ("",)
    if run:
        copy(Path(run), EXAMPLE.with_name(name[0]) if name else EXAMPLE)
    text = README.read_text()
    before, rest = text.split(BEGIN)
    README.write_text(before + block() + rest.split(END)[1])


if __name__ == "__main__":
    main()
