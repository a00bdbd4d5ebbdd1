"""What is learned, not how fast steps are: deliveries by agent steps and by core seconds.

Ours beside stock RLlib with its own batch, and every lever that touches the arithmetic beside the
plain version. Stock RLlib does not count deliveries, so for all sides they are worked out from the
return: what is left of it without the steps' cost, over the reward of a pickup and a delivery.

    python benchmarks/learning_speed.py --short
    python benchmarks/learning_speed.py --only fp32 --only bf16 --seeds 5 --json bf16.json
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from parts.batches import LARGE

COMMON = {"env.pheromone_decay": 0.6, "ppo.learning_rate": 1e-3}
NARROW, WIDE = {"model.hidden_dim": 64}, {"model.hidden_dim": 256}
SIDES: dict[str, dict[str, Any]] = {
    "stock": NARROW,
    "ours": NARROW,
    "the other tanh": NARROW,
    "overlap": {**NARROW, "ppo.num_env_runners": 1, "ppo.overlap_sampling": True},
    "minibatch 3,000": {**NARROW, **LARGE},
    "minibatch 750": {**NARROW, "ppo.minibatch_size": 750},
    "fp32": {**WIDE, "ppo.precision": "fp32"},
    "bf16": {**WIDE, "ppo.precision": "bf16"},
}
PLAIN = {  # the lever and what it is compared with
    "ours": "stock",
    "the other tanh": "ours",
    "overlap": "ours",
    "minibatch 3,000": "ours",
    "minibatch 750": "ours",
    "bf16": "fp32",
}


def curve(name: str, seed: int, steps: int) -> dict[str, Any]:
    """Train one side and return its deliveries by agent steps and core seconds."""
    import torch

    from biomarl_tune.experiment import Experiment

    torch.set_num_threads(1)
    experiment = Experiment().with_settings({**COMMON, **SIDES[name], "seed": seed})
    iterate = _stock(experiment) if name == "stock" else _ours(experiment, name)
    points, begin, done = [], time.process_time(), 0
    while done < steps:
        done, returned = iterate()
        env = experiment.env
        cost = env.step_reward * env.num_agents * env.max_episode_steps
        deliveries = (returned - cost) / (env.delivery_reward + env.pickup_reward)
        points.append((done, time.process_time() - begin, deliveries))
    return {"side": name, "seed": seed, "points": points}


def _ours(experiment: Any, name: str) -> Any:
    import torch

    from biomarl_tune.brain import activation, chunk_memory, passes, step_pass
    from biomarl_tune.ppo.local import LocalTrainer

    if name == "the other tanh":  # than this processor is faster with
        other = activation.tanh_by_sigmoid_ if activation.TANH_IS_FAST else torch.tanh_
        passes.tanh_ = chunk_memory.tanh_ = step_pass.tanh_ = other
    trainer = LocalTrainer(experiment)

    def iterate() -> tuple[int, float]:
        report = trainer.train_iteration()
        return trainer.agent_steps, report["episode_return_mean"]

    return iterate


def _stock(experiment: Any) -> Any:
    import ray
    from parts.stock import POLICY, StockPPO

    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, ignore_reinit_error=True)
    stock, done, returned = StockPPO(experiment, 0), 0, 0.0

    def iterate() -> tuple[int, float]:
        nonlocal done, returned
        done += stock.iterate()
        latest = stock.results["env_runners"].get("episode_return_mean", math.nan)
        returned = latest if math.isfinite(latest) else returned  # no episode has ended
        assert POLICY
        return done, float(returned)

    return iterate


def at_end(found: dict[str, Any]) -> float:
    """Return the deliveries over the last fifth of the agent steps."""
    points = found["points"]
    return statistics.fmean(point[2] for point in points[-max(1, len(points) // 5) :])


def after(found: dict[str, Any], seconds: float) -> float:
    """Return the deliveries once so many core seconds had been spent."""
    reached = [point[2] for point in found["points"] if point[1] <= seconds]
    return statistics.fmean(reached[-3:]) if reached else 0.0


def main() -> None:
    """Train every side with every seed and print what was learned."""
    arguments = _arguments()
    steps = 150_000 if arguments.short else arguments.steps
    names = arguments.only or (["ours", "fp32", "bf16"] if arguments.short else list(SIDES))
    seeds = range(1 if arguments.short else arguments.seeds)
    jobs = [(name, seed, steps) for seed in seeds for name in names]
    os.environ["OMP_NUM_THREADS"] = "1"
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        arguments.processes, mp_context=context, max_tasks_per_child=1
    ) as pool:
        curves = list(pool.map(curve, *zip(*jobs, strict=True)))
    rows = [_row(name, [c for c in curves if c["side"] == name], curves) for name in names]
    print(f"{'deliveries an episode':20} at the end   (of seeds)      core s   in equal core s")
    for row in rows:
        print(
            f"{row['who']:20} {row['median']:10.1f} {row['min']:7.1f}..{row['max']:<7.1f} "
            f"{row['core_seconds']:7.1f} {row['in_equal_core_seconds']:12.1f}"
        )
    by_name = {row["who"]: row for row in rows}
    ratios = {
        f"{name} / {plain}": by_name[name]["in_equal_core_seconds"]
        / max(by_name[plain]["in_equal_core_seconds"], 1e-9)
        for name, plain in PLAIN.items()
        if name in by_name and plain in by_name
    }
    for name, value in ratios.items():
        print(f"{name:32} {value:6.2f} times the deliveries in equal core seconds")
    if arguments.json:
        arguments.json.write_text(
            json.dumps({"rows": rows, "ratios": ratios, "curves": curves}, indent=1)
        )


def _row(name: str, mine: list[dict[str, Any]], every: list[dict[str, Any]]) -> dict[str, Any]:
    rival = PLAIN.get(name) or next((k for k, v in PLAIN.items() if v == name), name)
    both = [c for c in every if c["side"] in {name, rival}]
    budget = min(c["points"][-1][1] for c in both)  # what the cheaper of the two has spent
    ends = [at_end(c) for c in mine]
    return {
        "who": name,
        "median": statistics.median(ends),
        "min": min(ends),
        "max": max(ends),
        "core_seconds": statistics.median(c["points"][-1][1] for c in mine),
        "in_equal_core_seconds": statistics.median(after(c, budget) for c in mine),
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=2_000_000, help="agent steps of each side")
    parser.add_argument("--only", action="append", choices=list(SIDES))
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--short", action="store_true", help="one seed, 150,000 agent steps")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
