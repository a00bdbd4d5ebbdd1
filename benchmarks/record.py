"""What a report costs to commit as the search grows, and how long it takes to resume a large one.

    python benchmarks/record.py                 5,000 trials, then a resume at 1,000 and at the end
    python benchmarks/record.py --short         200 trials

Prints JSON: milliseconds of a report's commit in each tenth of the search, what the disk itself
takes to sync, and the seconds from a new process to its first new report.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from biomarl_tune.scalars import SCALARS
from biomarl_tune.search.spec import parse_spec
from biomarl_tune.search.study import Study

SPACE = """\
name: record
space:
  env.pheromone_decay: {{uniform: [0.2, 0.9]}}
  model.neural_plasticity_rate: {{loguniform: [0.005, 0.5]}}
search: {{sampler: {sampler}, trials: {trials}}}
stopping: {{scheduler: asha, max_iterations: 9, grace_iterations: 1, reduction: 3}}
"""
RESUME = """\
import sys, time
begin = time.perf_counter()
from pathlib import Path
from biomarl_tune.search.study import Study
study = Study.open(Path(sys.argv[1]))
study.resume()
proposal = study.suggest()
study.report(proposal.number, proposal.iteration + 1, {"episode_return_mean": 0.0}, seconds=1.0)
print(time.perf_counter() - begin)
study._record.close()
"""


def main() -> None:
    """Fill a record, measure, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=5000)
    parser.add_argument("--folder", type=Path, default=None, help="on the disk to be measured")
    parser.add_argument("--short", action="store_true", help="200 trials")
    given = parser.parse_args()
    trials = 200 if given.short else given.trials
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        sync = sync_milliseconds(Path(folder))
        found = fill(Path(folder), trials, resume_at=min(1000, trials // 2))
    print(json.dumps({"trials": trials, "disk_sync_ms": sync, **found}, indent=2))


def fill(folder: Path, trials: int, resume_at: int) -> dict[str, Any]:
    """Run trials through the record as fast as it takes them, and resume in between."""
    text = SPACE.format(trials=trials, sampler="random")
    study = Study.create(folder, parse_spec(text), text)
    rng = np.random.default_rng(0)
    commits: list[float] = []
    resumed: dict[str, float] = {}
    while (proposal := study.suggest()) is not None:
        commits += run_trial(study, proposal.number, proposal.iteration, rng)
        if proposal.number == resume_at - 1:
            resumed[f"at_{resume_at}_trials"] = resume_seconds(study)
            study = Study.open(study.directory.path)
            study.resume()
    study.close()
    milliseconds = 1000 * np.array(commits)
    tenths = [np.percentile(part, [50, 99]) for part in np.array_split(milliseconds, 10)]
    return {
        "reports": len(commits),
        "commit_ms_p50": round(float(np.percentile(milliseconds, 50)), 2),
        "commit_ms_p99": round(float(np.percentile(milliseconds, 99)), 2),
        "commit_ms_p50_p99_by_tenth": [[round(float(v), 2) for v in pair] for pair in tenths],
        "resume_to_first_report_seconds": resumed,
    }


def run_trial(study: Study, number: int, last: int, rng: np.random.Generator) -> list[float]:
    """Report until the rule stops the trial; return the seconds of each commit."""
    seconds = []
    score = rng.normal()
    for iteration in range(last + 1, 10):
        scalars = {**dict.fromkeys(SCALARS, 1.0), "episode_return_mean": score + iteration}
        begin = time.perf_counter()
        study.report(number, iteration, scalars, seconds=float(iteration))
        seconds.append(time.perf_counter() - begin)
        decision = study.decide(number)
        if decision.action == "stop":
            study.finish(number, "PRUNED", decision.reason)
            return seconds
    study.finish(number, "COMPLETE", "all iterations done")
    return seconds


def resume_seconds(study: Study) -> float:
    """Close a study and return the seconds in which a new process reports to it again."""
    path = study.directory.path
    study.close()
    command = [sys.executable, "-c", RESUME, str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return round(float(done.stdout), 2)


def sync_milliseconds(folder: Path) -> dict[str, float]:
    """Return what the disk itself takes to append 4 KiB and sync them."""
    taken = []
    with (folder / "sync").open("wb") as file:
        for _ in range(200):
            begin = time.perf_counter()
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
            taken.append(1000 * (time.perf_counter() - begin))
    return {f"p{q}": round(float(np.percentile(taken, q)), 2) for q in (50, 99)}


if __name__ == "__main__":
    main()
