r"""What the searched settings do: held-out return against each of them, over several seeds.

Every point is trained by the local engine with the same budget of agent steps and replayed on the
same held-out seeds. Prints a table; ``--json FILE`` writes the same as JSON, and ``--plot FILE``
draws it: the mean over training seeds with its 95 % interval (Student's t).

    python benchmarks/landscape.py --short
    python benchmarks/landscape.py --seeds 5 --iterations 40 --json landscape.json
    python benchmarks/landscape.py --first 5 --seeds 10 --only model.neural_plasticity_rate \
        --json more.json
    python benchmarks/landscape.py --read landscape.json --read more.json --plot landscape.png
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

POINTS: dict[str, list[Any]] = {
    "env.pheromone_decay": [0.0, 0.3, 0.5, 0.7, 0.85, 0.95, 0.99],
    "model.neural_plasticity_rate": [0.0, 0.01, 0.05, 0.2, 0.5],
    "model.hidden_dim": [16, 64, 256],
    "ppo.num_env_runners": [0, 1],
}
SHORT = {"env.pheromone_decay": [0.5, 0.95]}
FIXED = {"env.pheromone_decay": 0.6, "model.hidden_dim": 64, "ppo.learning_rate": 1e-3}


def main() -> None:
    """Train and replay every point, or read them, then print and draw what was found."""
    arguments = _arguments()
    saved = [json.loads(file.read_text())["rows"] for file in arguments.read]
    rows = [row for rows in saved for row in rows] if saved else _rows(arguments)
    names = dict.fromkeys(row["setting"] for row in rows)
    for name in names:
        for value in sorted({row["value"] for row in rows if row["setting"] == name}):
            found = [r["return"] for r in rows if r["setting"] == name and r["value"] == value]
            mean = sum(found) / len(found)
            print(f"{name:30} {value!s:>6}  mean {mean:7.1f}  {min(found):7.1f}..{max(found):.1f}")
        print(f"{name:30} {_effect([row for row in rows if row['setting'] == name])}")
    if arguments.json:
        arguments.json.write_text(json.dumps({"rows": rows, "ratios": {}}, indent=1))
    if arguments.plot:
        _draw(rows, arguments.plot)


def _rows(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    points = SHORT if arguments.short else POINTS
    points = {k: v for k, v in points.items() if not arguments.only or k in arguments.only}
    seeds = range(1) if arguments.short else range(arguments.first, arguments.seeds)
    iterations = 5 if arguments.short else arguments.iterations
    fixed = FIXED | {k: json.loads(v) for k, v in (pair.split("=") for pair in arguments.set)}
    jobs = [
        (name, value, seed, iterations, fixed)
        for seed in seeds
        for name, values in points.items()
        for value in values
    ]
    os.environ["OMP_NUM_THREADS"] = "1"
    context = multiprocessing.get_context("spawn")
    rows = []
    with ProcessPoolExecutor(arguments.processes, mp_context=context) as pool:
        for row in pool.map(_train_and_replay, *zip(*jobs, strict=True)):
            rows.append(row)
            print(
                f"{row['setting']:30} {row['value']!s:>6}  seed {row['seed']}  "
                f"return {row['return']:7.1f}  deliveries {row['deliveries']:7.1f}",
                flush=True,
            )
    return rows


def _effect(rows: list[dict[str, Any]]) -> str:
    """Return what the best value of a setting gains over the worst, paired by training seed."""
    import pandas as pd
    from scipy import stats

    table = pd.DataFrame(rows).pivot_table(index="seed", columns="value", values="return")
    means = table.mean()
    best, worst = means.idxmax(), means.idxmin()
    lead = (table[best] - table[worst]).dropna()
    told = f"{best} over {worst}: {lead.mean():+.0f}"
    if len(lead) < 2 or not lead.std():
        return told
    low, high = stats.t.interval(0.95, len(lead) - 1, lead.mean(), stats.sem(lead))
    return f"{told} [{low:+.0f}, {high:+.0f}] over {len(lead)} seeds"


def _draw(rows: list[dict[str, Any]], path: Path) -> None:
    import pandas as pd

    from biomarl_tune.analysis.findings import landscape

    path.parent.mkdir(parents=True, exist_ok=True)
    landscape(pd.DataFrame(rows)).savefig(path)


def _train_and_replay(
    name: str, value: float, seed: int, iterations: int, fixed: dict[str, Any]
) -> dict[str, Any]:
    import torch

    from biomarl_tune.experiment import Experiment
    from biomarl_tune.ppo.episodes import play
    from biomarl_tune.ppo.local import LocalTrainer

    torch.set_num_threads(1)
    experiment = Experiment().with_settings({**fixed, "seed": seed, name: value})
    trainer = LocalTrainer(experiment)
    for _ in range(iterations):
        trainer.train_iteration()
    held_out = [(2**31 + episode,) for episode in range(20)]
    episodes = play(experiment.env, trainer.policy, held_out)
    return {
        "setting": name,
        "value": value,
        "seed": seed,
        "return": float(episodes.returns.mean()),
        "deliveries": float(episodes.deliveries.mean()),
        "agent_steps": trainer.agent_steps,
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="seed; --seeds is one above the last")
    parser.add_argument("--iterations", type=int, default=40)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--only", action="append", help="a setting; may be repeated")
    parser.add_argument("--set", action="append", default=[], help="name=value, for every point")
    parser.add_argument("--short", action="store_true", help="two points, five iterations")
    parser.add_argument("--json", type=Path)
    read = "do not train; read what --json has written; may be repeated"
    parser.add_argument("--read", type=Path, action="append", default=[], help=read)
    parser.add_argument("--plot", type=Path, help="draw it, e.g. docs/landscape.png")
    return parser.parse_args()


if __name__ == "__main__":
    main()
