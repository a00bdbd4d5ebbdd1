"""What growth costs: agents, cells, worlds, trials, env runners; and 200 trials in one process.

Each axis grows alone. ``per_unit`` is the cost of one agent step (or of one trial), which stays
where nothing is worse than linear; ``ratios`` holds, for each axis, the last over the first.

    python benchmarks/scaling.py --short
    python benchmarks/scaling.py --json scaling.json
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

from parts.batches import LARGE

AGENTS = (30, 300, 3_000)
GRIDS = ((4, 3, 3), (8, 8, 8), (16, 16, 16))
WORLDS = (1, 8, 64)
TRIALS = (10, 100, 1_000, 10_000)
RUNNERS = (0, 1, 2)
RUNNING: dict[str, dict[str, Any]] = {
    "env runners": {},
    "overlapping env runners": {"ppo.overlap_sampling": True},
}
SPEC = """
name: scaling
space: {env.pheromone_decay: {uniform: [0.2, 0.999]}, ppo.learning_rate: {loguniform: [1e-4, 1e-2]}}
search: {sampler: random, trials: 20000, concurrency: 1}
"""


def training(settings: dict[str, Any]) -> dict[str, float]:
    """Train for some iterations; CPU microseconds an agent step, and memory."""
    import resource

    import torch

    from biomarl_tune.experiment import Experiment
    from biomarl_tune.ppo.local import LocalTrainer, resident_mb

    torch.set_num_threads(1)
    before = resident_mb()
    experiment = Experiment().with_settings({**LARGE, "model.hidden_dim": 64, **settings})
    trainer = LocalTrainer(experiment)
    trainer.train_iteration()
    spent = []
    for _ in range(3):
        steps, begin = trainer.agent_steps, time.process_time()
        trainer.train_iteration()
        spent.append((time.process_time() - begin) / (trainer.agent_steps - steps))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    agents = experiment.num_worlds * experiment.env.num_agents
    return {
        "per_unit": 1e6 * statistics.median(spent),
        "kb_per_agent": 1e3 * (peak - before) / agents,
    }


def recording(trials: int) -> dict[str, float]:
    """Take simulated trials through the record; CPU milliseconds a trial, of the last ten."""
    from biomarl_tune.scalars import SCALARS
    from biomarl_tune.search.conductor import Conductor
    from biomarl_tune.search.spec import parse_spec
    from biomarl_tune.search.study import Study

    report = dict.fromkeys(SCALARS, 1.0) | {"seconds": 1.0, "cpu_seconds": 1.0, "checkpoint": ""}
    spent = []
    spec = parse_spec(SPEC, "scaling")
    with (
        tempfile.TemporaryDirectory() as folder,
        Study.create(Path(folder), spec, SPEC) as study,
    ):
        conductor = Conductor(study, ())
        for _ in range(trials):
            begin = time.process_time()
            task = conductor.next_task()
            assert task is not None
            conductor.take(task.number, {**report, "iteration": 1})
            conductor.end(task.number, "COMPLETE", "done")
            spent.append(time.process_time() - begin)
    return {"per_unit": 1e3 * statistics.median(spent[-10:])}


def runners(settings: dict[str, Any]) -> dict[str, float]:
    """Train inside RLlib with env runners; wall microseconds an agent step."""
    import ray

    from biomarl_tune.experiment import Experiment
    from biomarl_tune.rllib.algorithm import BioPPOConfig

    ray.init(num_cpus=1 + max(RUNNERS), include_dashboard=False, log_to_driver=False)
    experiment = Experiment().with_settings({**LARGE, "model.hidden_dim": 64, **settings})
    algorithm = BioPPOConfig.from_experiment(experiment).build_algo()
    rates = [algorithm.step()["agent_steps_per_second"] for _ in range(4)]
    return {"per_unit": 1e6 / statistics.median(rates[1:])}


def process(trials: int) -> dict[str, float]:
    """Run trials one after the other in this process; how much its memory grows, in MB."""
    from biomarl_tune.experiment import Experiment
    from biomarl_tune.ppo.local import LocalTrainer, resident_mb

    small = {"ppo.train_batch_size": 3_000, "ppo.minibatch_size": 1_500, "ppo.num_epochs": 1}
    sizes = []
    for trial in range(trials):
        hidden = (32, 64, 128)[trial % 3]
        experiment = Experiment().with_settings({**small, "model.hidden_dim": hidden})
        LocalTrainer(experiment).train_iteration()
        sizes.append(resident_mb())
    return {"per_unit": sizes[-1] - sizes[trials // 10]}


def points(*, short: bool) -> list[tuple[str, str, str, Any]]:
    """Return axis, value, function and argument of every measurement."""
    end = 2 if short else None
    found: list[tuple[str, str, str, Any]] = []
    for agents in AGENTS[:end]:
        size = max(30_000, 50 * agents)
        settings = {"env.num_agents": agents, "ppo.train_batch_size": size}
        found.append(("agents", str(agents), "training", settings))
    for grid in GRIDS[:end]:
        cells = grid[0] * grid[1] * grid[2]
        found.append(("cells", str(cells), "training", {"env.grid_size": grid}))
    for worlds in WORLDS[:end]:
        settings = {"ppo.train_batch_size": 1_500 * worlds, "ppo.minibatch_size": 1_500}
        found.append(("worlds", str(worlds), "training", settings))
    found += [("trials", str(trials), "recording", trials) for trials in TRIALS[:end]]
    counts = RUNNERS[: 1 if short else None]
    for axis, more in RUNNING.items():
        for count in counts:
            found.append((axis, str(count), "runners", {"ppo.num_env_runners": count, **more}))
    trials = 20 if short else 200
    return [*found, ("trials in one process", str(trials), "process", trials)]


def main() -> None:
    """Measure every point in a process of its own and print the table."""
    arguments = _arguments()
    if arguments.function:
        found = globals()[arguments.function](json.loads(arguments.argument))
        print(json.dumps(found), flush=True)
        return
    units = {"recording": "ms CPU a trial", "process": "MB grown", "runners": "us an agent step"}
    rows = []
    print(f"{'axis':24}{'value':>8}{'cost':>10}  unit, memory an agent")
    for axis, value, function, argument in points(short=arguments.short):
        row = {"who": axis, "value": value, **_apart(function, argument)}
        rows.append(row)
        memory = f", {row['kb_per_agent']:.0f} kB" if "kb_per_agent" in row else ""
        unit = units.get(function, "us CPU an agent step")
        print(f"{axis:24}{value:>8}{row['per_unit']:10.2f}  {unit}{memory}", flush=True)
    ratios = {}
    for axis in dict.fromkeys(row["who"] for row in rows):
        costs = [row["per_unit"] for row in rows if row["who"] == axis]
        if len(costs) > 1:
            ratios[axis] = costs[-1] / costs[0]
            print(f"{axis:24} last over first {ratios[axis]:6.2f}")
    if arguments.json:
        arguments.json.write_text(json.dumps({"rows": rows, "ratios": ratios}, indent=1))


def _apart(function: str, argument: Any) -> dict[str, float]:
    command = [sys.executable, "-W", "ignore", __file__]
    command += ["--function", function, "--argument", json.dumps(argument)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    if done.returncode:
        sys.exit(done.stderr[-2000:])
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="the two smallest values of each axis")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--function", default="", help=argparse.SUPPRESS)
    parser.add_argument("--argument", default="null", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
