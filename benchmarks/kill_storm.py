"""Kill a search at random moments, resume it until it ends, and compare it with a whole one.

    python benchmarks/kill_storm.py --trials 1000 --kills 15 --seed 0     simulated trials
    python benchmarks/kill_storm.py --real --trials 8 --kills 3           PPO trials under Ray
    python benchmarks/kill_storm.py --stock --trials 25 --kills 1         Tune + OptunaSearch + ASHA

Two kills in three are kill -9, the third is SIGTERM. Prints JSON; exits 1 where something was lost.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from biomarl_tune.search.examination import examine
from biomarl_tune.search.study import Study

FAULTS = Path(__file__).parents[1] / "tests" / "faults"
sys.path.insert(0, str(FAULTS))

from audit import check_search, ends  # noqa: E402 - beside the simulated search
from stock import stock_storm  # noqa: E402

REAL = """\
name: {name}
seed: {seed}
experiment:
  env: {{num_agents: 8, max_episode_steps: 100}}
  model: {{hidden_dim: 32}}
  ppo: {{train_batch_size: 16000, minibatch_size: 2000}}
space:
  env.pheromone_decay: {{uniform: [0.2, 0.95]}}
  model.neural_plasticity_rate: {{loguniform: [0.005, 0.5]}}
search: {{sampler: tpe, trials: {trials}, concurrency: 1}}
stopping: {{scheduler: asha, max_iterations: 9, grace_iterations: 1, reduction: 3}}
evaluation: {{top: 1, seeds: 1, episodes_per_seed: 1}}
"""
FREE_OF_DISK = Path("/dev/shm")  # noqa: S108 - a process that is killed needs no disk to show it


def main() -> None:
    """Read the command line, let the storm pass and print what is left."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--real", action="store_true", help="PPO trials under Ray")
    parser.add_argument("--stock", action="store_true", help="stock Tune, OptunaSearch and ASHA")
    parser.add_argument("--short", action="store_true", help="100 trials, 3 kills")
    given = parser.parse_args()
    trials, kills = (100, 3) if given.short else (given.trials, given.kills)
    root = FREE_OF_DISK if os.access(FREE_OF_DISK, os.W_OK) and not given.real else None
    with tempfile.TemporaryDirectory(dir=root) as folder:
        if given.stock:
            print(json.dumps(stock_storm(Path(folder), trials, kills, given.seed), indent=2))
            return
        commands = real_commands if given.real else simulated_commands
        found = storm(Path(folder), trials, kills, given.seed, commands)
    print(json.dumps(found, indent=2))
    sys.exit(0 if found["held"] else 1)


def simulated_commands(folder: Path, name: str, trials: int, seed: int) -> list[list[str]]:
    """Return what begins a simulated search, and what goes on with it."""
    program = [sys.executable, str(FAULTS / "simulated.py"), str(folder), name]
    command = [*program, "--trials", str(trials), "--seed", str(seed)]
    return [command, command]


def real_commands(folder: Path, name: str, trials: int, seed: int) -> list[list[str]]:
    """Return what begins a real search, and what goes on with it."""
    spec = folder / f"{name}.yaml"
    spec.write_text(REAL.format(name=name, trials=trials, seed=seed))
    program = [sys.executable, "-m", "biomarl_tune.cli"]
    begin = [*program, "run", str(spec), "--results", str(folder), "--engine", "ray"]
    return [begin, [*program, "resume", str(folder / name), "--engine", "ray"]]


def storm(folder: Path, trials: int, kills: int, seed: int, commands: Any) -> dict[str, Any]:
    """Run one search whole and one under fire; return what differs.

    Args:
        folder: for both.
        trials: of each.
        kills: of the second.
        seed: of the searches and of the moments.
        commands: gives what begins and what resumes a search.
    """
    begin = time.monotonic()
    run_whole(commands(folder, "whole", trials, seed)[0], folder)
    whole_seconds = time.monotonic() - begin
    begin_and_resume = commands(folder, "killed", trials, seed)
    log = run_under_fire(folder, begin_and_resume, kills, seed, whole_seconds)
    whole, killed = folder / "whole", folder / "killed"
    fault = ""
    try:
        check_search(killed, trials=trials)
    except AssertionError as error:
        fault = str(error)[:500] or "the audit failed"
    examined = examine(killed)
    final = {end[0]: end for end in ends(killed)}
    lost = sum(final.get(number) != end for number, end in log["finished"].items())
    with Study.open(killed, read_only=True) as study:
        reports = study.reports()
    all_sent = len(log["kills"]) == kills
    same = [(e[0], e[2]) for e in ends(whole)] == [(e[0], e[2]) for e in ends(killed)]
    return {
        "trials": trials,
        "kills": log["kills"],
        "seed": seed,
        "finished_before_kills": len(log["finished"]),
        "lost_or_changed": lost,
        "duplicated_numbers": len(ends(killed)) - len(final),
        "repeated_settings": examined.repeated,
        "running": (examined.trials or {}).get("RUNNING", 0),
        "reports": len(reports),
        "reports_redone": max(report.sequence for report in reports) - len(reports),
        "rungs_equal_replay": not fault,
        "same_sequence_of_settings": same,
        "same_ends": ends(whole) == ends(killed),
        "whole_seconds": round(whole_seconds, 1),
        "fault": fault,
        "held": not fault and not lost and same and examined.repeated == 0 and all_sent,
    }


def run_whole(command: list[str], folder: Path) -> None:
    """Run a search to its end."""
    with (folder / "whole.log").open("w") as log:
        subprocess.run(command, check=True, stdout=log, stderr=log)


def run_under_fire(
    folder: Path, commands: list[list[str]], kills: int, seed: int, whole_seconds: float
) -> dict[str, Any]:
    """Start a search again and again and kill it, until the kills are used up and it ends."""
    rng = np.random.default_rng(seed)
    run = folder / "killed"
    finished: dict[int, Any] = {}
    sent: list[str] = []
    with (folder / "killed.log").open("w") as log:
        while True:
            command = commands[1] if run.exists() else commands[0]
            process = subprocess.Popen(command, stdout=log, stderr=log)
            left = kills - len(sent)
            patience = rng.uniform(0.5, 3 + 1.2 * whole_seconds / (kills + 1)) if left else None
            try:
                code = process.wait(patience)
            except subprocess.TimeoutExpired:
                number = signal.SIGTERM if len(sent) % 3 == 2 else signal.SIGKILL
                process.send_signal(number)
                sent.append(number.name)
                process.wait(60)
                if run.exists():
                    finished |= {e[0]: e for e in ends(run) if e[1] not in {"RUNNING", "WAITING"}}
                continue
            if code == 0:
                return {"finished": finished, "kills": sent}
            if code not in (-signal.SIGKILL, -signal.SIGTERM, 143):
                text = (folder / "killed.log").read_text()[-2000:]
                msg = f"exit code {code} after {sent}: {text}"
                raise RuntimeError(msg)


if __name__ == "__main__":
    main()
