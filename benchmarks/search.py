"""What a search costs beside its training: ours beside stock Ray Tune, RLlib and Optuna.

The same small search (two settings, ASHA after two iterations, at most five of 4,000 agent steps)
through stock ``Tuner`` + PPO + ``OptunaSearch`` + ``ASHAScheduler``, and through ours. ``fit`` is
the time from ``fit()`` with Ray up, ``command`` that from a command to its end, for ours with the
replay of the best trials. Every measurement is a new process.

    python benchmarks/search.py --short
    python benchmarks/search.py --repetitions 3 --json search.json
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

from parts import tuning

SIZES = (8, 32, 100)
CPUS = len(os.sched_getaffinity(0))


def measure(side: str, trials: int) -> dict[str, Any]:
    """Run one search in a process of its own and return what it says of itself."""
    begin = time.perf_counter()
    command = [sys.executable, "-W", "ignore", __file__, "--side", side, "--trials", str(trials)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith('{"seconds"')]
    if not lines:
        sys.exit(f"{side}: {done.stderr[-2000:]}")
    return {**json.loads(lines[-1]), "command_seconds": time.perf_counter() - begin}


def command(trials: int) -> float:
    """Return the seconds of our command, from its start to its verdict."""
    with tempfile.TemporaryDirectory() as folder:
        spec = Path(folder) / "search.yaml"
        spec.write_text(tuning.spec_text(trials, CPUS))
        begin = time.perf_counter()
        program = [sys.executable, "-m", "biomarl_tune.cli", "run", str(spec)]
        subprocess.run([*program, "--results", folder], capture_output=True, check=True)
        return time.perf_counter() - begin


def main() -> None:
    """Measure both sides in turns and print the table and the ratios."""
    arguments = _arguments()
    if arguments.side:
        with tempfile.TemporaryDirectory() as folder:
            run = getattr(tuning, arguments.side)
            print(json.dumps(run(arguments.trials, CPUS, Path(folder))), flush=True)
        return
    sizes = SIZES[:1] if arguments.short else SIZES
    repetitions = 1 if arguments.short else arguments.repetitions
    found: dict[str, list[dict[str, Any]]] = {}
    for _ in range(repetitions):
        for trials in sizes:
            for side in ("stock", "ours"):
                found.setdefault(f"{side} {trials}", []).append(measure(side, trials))
        if arguments.short:  # a second size of ours, for what a trial adds
            found.setdefault("ours 32", []).append(measure("ours", 32))
        else:
            found.setdefault("command 32", []).append({"seconds": command(32)})
    report(found, arguments.json)


def report(found: dict[str, list[dict[str, Any]]], file: Path | None) -> None:
    """Print the table and the ratios, and write them as JSON."""
    rows = [_row(name, measured) for name, measured in found.items()]
    print("search       trials  iterations  seconds      min      max  CPU s  of which training")
    for row in rows:
        print(
            f"{row['who']:12} {row['trials']:6} {row['iterations'] or '':>11} "
            f"{row['seconds']:8.1f} {row['min']:8.1f} {row['max']:8.1f} {row['cpu_seconds']:6.1f} "
            f"{row['training_cpu_seconds']:10.1f}"
        )
    by_name = dict(zip(found, rows, strict=True))
    ratios = {
        f"fit_{size}": by_name[f"stock {size}"]["seconds"] / by_name[f"ours {size}"]["seconds"]
        for size in SIZES
        if f"stock {size}" in by_name
    }
    if "command 32" in by_name:
        stock = by_name["stock 32"]["command_seconds"]
        ratios["command_32"] = stock / by_name["command 32"]["seconds"]
    overhead = _overhead(by_name["ours 8"], by_name["ours 32"])
    for name, value in {**ratios, "overhead_core_seconds_per_trial": overhead}.items():
        print(f"{name:32} {value:6.2f}")
    if file:
        told = {"rows": rows, "ratios": ratios, "overhead_core_seconds_per_trial": overhead}
        file.write_text(json.dumps(told, indent=1))


def _overhead(few: dict[str, Any], many: dict[str, Any]) -> float:
    """Return the core seconds that a trial adds to a search in warm processes, training apart."""
    spent = [row["cpu_seconds"] - row["training_cpu_seconds"] for row in (few, many)]
    return float((spent[1] - spent[0]) / (many["trials"] - few["trials"]))


def _row(name: str, measured: list[dict[str, Any]]) -> dict[str, Any]:
    who, _, trials = name.partition(" ")
    seconds = [one["seconds"] for one in measured]
    columns = ("cpu_seconds", "training_cpu_seconds", "command_seconds", "iterations")
    return {
        "who": who,
        "trials": int(trials),
        "seconds": statistics.median(seconds),
        "min": min(seconds),
        "max": max(seconds),
        **{c: statistics.median(one.get(c, 0.0) for one in measured) for c in columns},
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--short", action="store_true", help="8 trials, one repetition")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--side", default="", choices=("", "stock", "ours"), help=argparse.SUPPRESS)
    parser.add_argument("--trials", type=int, default=8, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
