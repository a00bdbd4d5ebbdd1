"""Training speed, agent steps a second: ours beside the peers, on the same world.

Sides take turns in one run, each in a warm process of its own; ratios are medians over the turns.
Stock RLlib has the whole machine and the best of 0, 1 and 2 env runners; every other side has one
thread, and ``two side by side`` is two processes of one thread each. Batches are of 30,000 agent
steps and minibatches of 3,000, stock RLlib's of 4,000 and 512.

    python benchmarks/throughput.py --short
    python benchmarks/throughput.py --repetitions 5 --json throughput.json
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from pathlib import Path
from typing import Any

from parts.batches import LARGE
from parts.sides import Side, Workload, in_turns, ratio, serve

from biomarl_tune.experiment import Experiment

MLP = {
    "model.pheromone_attention": False,
    "model.plasticity": False,
    "model.messages": False,
    "ppo.detector_coefficient": 0.0,
}
RUNNERS = (0, 1, 2)
CPUS = len(os.sched_getaffinity(0))


class Local:
    """Ours, in the local engine."""

    def __init__(self, experiment: Experiment) -> None:
        from biomarl_tune.ppo.local import LocalTrainer

        self.trainer = LocalTrainer(experiment)

    def iterate(self) -> int:
        before = self.trainer.agent_steps
        self.trainer.train_iteration()
        return self.trainer.agent_steps - before


class InRLlib:
    """Ours, as an RLlib algorithm."""

    def __init__(self, experiment: Experiment) -> None:
        from biomarl_tune.rllib.algorithm import BioPPOConfig

        self.algorithm = BioPPOConfig.from_experiment(experiment).build_algo()
        self.agent_steps = 0.0

    def iterate(self) -> int:
        before, self.agent_steps = self.agent_steps, self.algorithm.step()["agent_steps"]
        return int(self.agent_steps - before)


def workload(side: str, experiment: Experiment) -> Workload:
    """Build what a side does; each imports its own stack."""
    import torch

    kind, _, runners = side.partition(":")
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    if kind in {"stock", "rllib"}:
        import ray

        ray.init(num_cpus=1 + max(RUNNERS), include_dashboard=False, log_to_driver=False)
    if kind == "stock":
        from parts.stock import StockPPO

        return StockPPO(experiment, int(runners))
    if kind == "sb3":
        from parts.vector import BaselinesPPO

        return BaselinesPPO(experiment)
    if kind == "torch":
        from parts.plain import PlainLoop

        return PlainLoop(experiment)
    return InRLlib(experiment) if kind == "rllib" else Local(experiment)


def side(who: str, kind: str, hidden: int, iterations: int, **settings: Any) -> Side:
    """Describe a side; a stock one may use every processor."""
    threads = CPUS if kind == "stock:0" else 1
    settings = {**LARGE, "model.hidden_dim": hidden, **settings}
    arguments = ("--side", kind, "--settings", json.dumps(settings))
    return Side(who, hidden, threads, iterations, arguments)


def sides(*, short: bool) -> dict[str, Side]:
    """Return every side by a short name."""
    n = 1 if short else 3
    found = {
        f"stock:{r}": side(f"stock RLlib, {r} env runners", f"stock:{r}", 64, 1) for r in RUNNERS
    }
    found |= {
        "sb3": side("stable-baselines3, batched VecEnv", "sb3", 64, n, **MLP),
        "torch": side("plain torch loop", "torch", 64, n, **MLP),
        "mlp": side("ours, bio parts off", "local", 64, n, **MLP),
        "full": side("ours, full brain, in RLlib", "rllib", 64, n),
        "twin": side("ours, full brain, in RLlib (second)", "rllib", 64, n),
        "torch wide": side("plain torch loop", "torch", 256, 1, **MLP),
        "fp32 wide": side("ours, bio parts off, fp32", "local", 256, 1, **MLP, **precision("fp32")),
        "bf16 wide": side("ours, bio parts off, bf16", "local", 256, 1, **MLP, **precision("bf16")),
    }
    if not short:
        found |= {
            "local": side("ours, full brain, local engine", "local", 64, n),
            "mlp rllib": side("ours, bio parts off, in RLlib", "rllib", 64, n, **MLP),
            "stock wide": side("stock RLlib, 0 env runners", "stock:0", 256, 1),
            "sb3 wide": side("stable-baselines3, batched VecEnv", "sb3", 256, 1, **MLP),
            "full wide": side("ours, full brain, local engine", "local", 256, 1),
        }
    return found


def precision(name: str) -> dict[str, Any]:
    """Return the setting of the hidden layers' numbers."""
    return {"ppo.precision": name}


def pair_of(one: Side, other: Side) -> Side:
    """Return two sides measured at the same time, as one."""
    pair = Side("ours, full brain, two side by side", one.hidden, 1, one.iterations, ())

    def measure() -> None:
        one.begin()
        other.begin()
        (rate, cost), (rate_other, cost_other) = one.end(), other.end()
        pair.rates.append(rate + rate_other)
        pair.costs.append((cost + cost_other) / 2)

    pair.measure = measure  # type: ignore[method-assign]
    return pair


def main() -> None:
    """Run every side in turns and print the table and the ratios."""
    arguments = _arguments()
    if arguments.side:
        settings = json.loads(arguments.settings)
        serve(workload(arguments.side, Experiment().with_settings(settings)))
        return
    found = sides(short=arguments.short)
    for one in found.values():  # one after the other: Ray gives up where it starts too slowly
        one.start(__file__)
        one.wait()
    pair = pair_of(found["full"], found["twin"])
    timed = {name: one for name, one in found.items() if name != "twin"} | {"pair": pair}
    in_turns(
        [one.measure for one in timed.values()], 1 if arguments.short else arguments.repetitions
    )
    for one in found.values():
        one.stop()
    report(timed, arguments.json)


def report(timed: dict[str, Side], file: Path | None) -> None:
    """Print the table and the ratios, and write them as JSON."""
    rates = {name: one.rates for name, one in timed.items()}
    stock = max((rates[f"stock:{r}"] for r in RUNNERS), key=statistics.median)
    ratios = {
        "full_vs_stock": ratio(rates["full"], stock),
        "pair_vs_stock": ratio(rates["pair"], stock),
        "mlp_vs_sb3": ratio(rates["mlp"], rates["sb3"]),
        "mlp_vs_torch": ratio(rates["mlp"], rates["torch"]),
        "wide_fp32_vs_torch": ratio(rates["fp32 wide"], rates["torch wide"]),
        "wide_bf16_vs_torch": ratio(rates["bf16 wide"], rates["torch wide"]),
    }
    rows = [one.row() for one in timed.values()]
    print(f"{'agent steps a second':40} hidden threads   median      min      max  CPU s/million")
    for row in rows:
        print(
            f"{row['who']:40} {row['hidden']:6} {row['threads']:7} {row['median']:8.0f} "
            f"{row['min']:8.0f} {row['max']:8.0f} {row['cpu_seconds_per_million']:14.1f}"
        )
    for name, value in ratios.items():
        print(f"{name:20} {value:6.2f}")
    if file:
        file.write_text(json.dumps({"rows": rows, "ratios": ratios}, indent=1))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--short", action="store_true", help="one repetition, fewer sides")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--side", default="", help=argparse.SUPPRESS)
    parser.add_argument("--settings", default="{}", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
