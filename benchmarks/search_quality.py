"""What a search finds for a fixed budget: TPE with ASHA against random search and TPE alone.

Every arm searches the space of a file with the local engine until it has spent as many agent
steps as a few whole trials take. Its winner, the best complete trial by the search's own score,
is replayed on held-out seeds. The searches of an arm differ in their seed, which is that of the
training too; arms are compared search seed by search seed. Prints a table; ``--json FILE`` writes
the same as JSON.

    python benchmarks/search_quality.py --short
    python benchmarks/search_quality.py --trials 14 --iterations 20 --json search_quality.json

TPE draws its first ten proposals at random, as random search does with the same seed: a budget of
fewer whole trials cannot tell those two apart.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import tempfile
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import yaml

ARMS = {
    "tpe + asha": {"sampler": "tpe", "scheduler": "asha"},
    "random": {"sampler": "random", "scheduler": "none"},
    "tpe": {"sampler": "tpe", "scheduler": "none"},
}
OURS = next(iter(ARMS))
SHORT = {
    "experiment": {
        "env": {"max_episode_steps": 100},
        "ppo": {"train_batch_size": 6000, "minibatch_size": 1500, "learning_rate": 1e-3},
    },
    "space": {
        "env.pheromone_decay": {"uniform": [0.2, 0.999]},
        "model.neural_plasticity_rate": {"loguniform": [0.005, 0.5]},
        "model.hidden_dim": {"choice": [16, 32]},
    },
    "stopping": {"max_iterations": 9, "grace_iterations": 1, "reduction": 3},
}


def main() -> None:
    """Run every arm with every seed, then print what was found."""
    arguments = _arguments()
    tree = yaml.safe_load(arguments.space.read_text())
    tree |= SHORT if arguments.short else {}
    if arguments.iterations:
        tree["stopping"] = {**tree["stopping"], "max_iterations": arguments.iterations}
    seeds, trials = (2, 3) if arguments.short else (arguments.seeds, arguments.trials)
    jobs = [(tree, arm, seed, trials, arguments.replays) for seed in range(seeds) for arm in ARMS]
    os.environ["OMP_NUM_THREADS"] = "1"
    context = multiprocessing.get_context("spawn")
    rows = []
    with ProcessPoolExecutor(arguments.processes, mp_context=context) as pool:
        for row in pool.map(_search, *zip(*jobs, strict=True)):
            rows.append(row)
            print(
                f"{row['arm']:10}  seed {row['seed']}  {row['trials']:3} trials  "
                f"{row['agent_steps'] / 1e6:5.2f} million agent steps  "
                f"score {row['score']:7.1f}  held-out return {np.mean(row['returns']):7.1f}",
                flush=True,
            )
    summary = _summary(rows)
    for arm, found in summary.items():
        told = {name: f"{e:7.1f} [{lo:.1f}, {hi:.1f}]" for name, (e, lo, hi) in found.items()}
        print(f"{arm:10}  " + "  ".join(f"{name} {text}" for name, text in told.items()))
    if arguments.json:
        ours = summary[OURS]["held_out"][0]
        ratios = {arm: ours / summary[arm]["held_out"][0] for arm in ARMS if arm != OURS}
        result = {"rows": rows, "summary": summary, "ratios": ratios}
        arguments.json.write_text(json.dumps(result, indent=1))


def _search(tree: dict[str, Any], arm: str, seed: int, trials: int, replays: int) -> dict[str, Any]:
    """Run one search until its budget is spent, and replay its winner."""
    import torch

    from biomarl_tune.analysis.evaluation import (
        Stage,
        best_trials,
        checkpoint_of,
        replay_checkpoint,
    )
    from biomarl_tune.search.serial import run_serially
    from biomarl_tune.search.spec import parse_spec
    from biomarl_tune.search.study import Study

    torch.set_num_threads(1)
    stopping = {**tree["stopping"], "scheduler": ARMS[arm]["scheduler"]}
    text = yaml.safe_dump(
        {
            **{key: tree[key] for key in ("experiment", "space", "objective")},
            "name": "quality",
            "seed": seed,
            "search": {"sampler": ARMS[arm]["sampler"], "trials": 1000},
            "stopping": stopping,
        }
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        Study.create(Path(folder), parse_spec(text), text) as study,
    ):
        conductor = _conductor(study, budget=trials * stopping["max_iterations"])
        run_serially(conductor)
        (winner,) = best_trials(study, 1)
        stage = Stage(top=1, seeds=replays, episodes_per_seed=1)
        replayed = replay_checkpoint(checkpoint_of(study, winner), winner.number, stage)
        ended = study.trials()
        assert winner.last is not None
        return {
            "arm": arm,
            "seed": seed,
            "trials": len(ended),
            "agent_steps": sum(t.last.value("agent_steps") for t in ended if t.last),
            "score": winner.last.values(study.spec.objective)[0],
            "settings": winner.settings,
            "returns": replayed["return"].tolist(),
        }


def _conductor(study: Any, budget: int) -> Any:
    """Return a conductor whose search ends after so many iterations, whoever ran them."""
    from biomarl_tune.search.conductor import Conductor

    class Budgeted(Conductor):
        spent = 0

        def next_task(self) -> Any:
            return super().next_task() if self.spent < budget else None

        def take(self, number: int, report: Mapping[str, Any]) -> bool:
            self.spent += 1
            goes_on = super().take(number, report)
            if goes_on and self.spent >= budget:
                self.end(number, "PRUNED", "the budget is spent")
                return False
            return goes_on

    return Budgeted(study, ())


def _summary(rows: list[dict[str, Any]]) -> dict[str, dict[str, tuple[float, float, float]]]:
    """Return each arm's held-out return and our lead over it, with 95 % intervals."""
    from biomarl_tune.analysis.statistics import bootstrap_interval, mean, paired_difference

    rng = np.random.default_rng(0)
    returns = {arm: np.array([r["returns"] for r in rows if r["arm"] == arm]) for arm in ARMS}
    summary: dict[str, dict[str, tuple[float, float, float]]] = {}
    for arm, found in returns.items():
        summary[arm] = {"held_out": tuple(bootstrap_interval(found, mean, rng=rng))}
        if arm != OURS:
            lead = paired_difference(returns[OURS], found, mean, rng=rng)
            summary[arm]["our_lead"] = tuple(lead)
    return summary


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--space", type=Path, default=Path("search_spaces/pheromone.yaml"))
    parser.add_argument("--seeds", type=int, default=5, help="searches of each arm")
    parser.add_argument("--trials", type=int, default=16, help="whole trials that the budget holds")
    parser.add_argument("--iterations", type=int, help="of a whole trial, in place of the file's")
    parser.add_argument("--replays", type=int, default=20, help="held-out seeds of a winner")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--short", action="store_true", help="two seeds, a small colony's budget")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
