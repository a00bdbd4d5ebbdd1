"""Start-up: ``--help``, and from a command to the first report of a search, with a breakdown.

The breakdown is of one process that does what ``biomarl-tune run`` does; while Ray starts, it
imports Tune and RLlib in a thread, and the processes that Ray starts ahead import RLlib, too.

    python benchmarks/startup.py --short
    python benchmarks/startup.py --repetitions 5 --json startup.json
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from parts.tuning import spec_text

CPUS = len(os.sched_getaffinity(0))
TARGET = 12.0  # seconds to the first report, on two cores
PROGRAM = [sys.executable, "-m", "biomarl_tune.cli"]


def help_seconds() -> float:
    """Return the seconds of ``biomarl-tune --help``."""
    begin = time.perf_counter()
    subprocess.run([*PROGRAM, "--help"], capture_output=True, check=True)
    return time.perf_counter() - begin


def stages() -> dict[str, float]:
    """Run the command in a process that tells when it comes where; seconds since its start."""
    begin = time.time()
    done = subprocess.run(
        [sys.executable, "-W", "ignore", __file__, "--inside"],
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith('{"stages"')]
    if not lines:
        sys.exit(done.stderr[-2000:])
    return {name: at - begin for name, at in json.loads(lines[-1])["stages"].items()}


def inside() -> None:
    """Do what the command does, and print the time of each stage."""
    at = {"python is up": time.time()}
    from biomarl_tune.run import Search
    from biomarl_tune.search import cluster
    from biomarl_tune.search.conductor import Conductor

    at["the program is imported"] = time.time()
    tell_when(at, cluster, "_start", "Ray is up", after=True)
    tell_when(at, Conductor, "next_task", "Tune asks for a trial")
    tell_when(at, Conductor, "take", "the first report is recorded", after=True)
    with tempfile.TemporaryDirectory() as folder:
        spec = Path(folder) / "search.yaml"
        spec.write_text(spec_text(2, CPUS))
        Search.load(spec).run(folder)
    at["the verdict is told"] = time.time()
    print(json.dumps({"stages": at}), flush=True)


def tell_when(
    at: dict[str, float], owner: Any, name: str, stage: str, *, after: bool = False
) -> None:
    """Let a function note when it is called for the first time, or has returned."""
    function = getattr(owner, name)

    def told(*args: Any, **kwargs: Any) -> Any:
        if not after:
            at.setdefault(stage, time.time())
        returned = function(*args, **kwargs)
        at.setdefault(stage, time.time())
        return returned

    setattr(owner, name, told)


def main() -> None:
    """Measure, then print the table."""
    arguments = _arguments()
    if arguments.inside:
        inside()
        return
    repetitions = 1 if arguments.short else arguments.repetitions
    measured: dict[str, list[float]] = {}
    for _ in range(repetitions):
        measured.setdefault("--help", []).append(help_seconds())
        for name, seconds in stages().items():
            measured.setdefault(name, []).append(seconds)
    rows = [
        {"who": name, "seconds": statistics.median(x), "min": min(x), "max": max(x)}
        for name, x in measured.items()
    ]
    print(f"{'seconds since the command':32} median      min      max")
    for row in rows:
        print(f"{row['who']:32} {row['seconds']:6.2f} {row['min']:8.2f} {row['max']:8.2f}")
    first = statistics.median(measured["the first report is recorded"])
    print(f"to the first report: {first:.1f} s (wanted: at most {TARGET:.0f} on two cores)")
    if arguments.json:
        ratios = {"first_report_vs_wanted": first / TARGET}
        arguments.json.write_text(json.dumps({"rows": rows, "ratios": ratios}, indent=1))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--short", action="store_true", help="one repetition")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
