"""Which bio part earns its keep: the winner replayed with one part off at a time, on equal seeds.

The brain was trained with the part, so a loss tells what it relies on, not what a brain that was
trained without the part could have done.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from biomarl_tune.analysis.contenders import RESAMPLES, by_seed
from biomarl_tune.analysis.evaluation import Say, Stage, brain, replay_policy
from biomarl_tune.analysis.statistics import bootstrap_interval, paired_difference
from biomarl_tune.experiment import Experiment
from biomarl_tune.ppo.checkpoint import load_weights

WHOLE, ALL = "nothing", "all of them"
PARTS: dict[str, dict[str, Any]] = {
    "pheromone": {"env.carrier_deposit": 0.0, "env.visit_deposit": 0.0},
    "attention": {"model.pheromone_attention": False},
    "messages": {"model.messages": False},
    "plasticity": {"model.plasticity": False},
}


def ablate(checkpoint: Path, number: int, stage: Stage, say: Say) -> pd.DataFrame:
    """Replay a checkpoint whole, and with each of its bio parts off.

    A part that the checkpoint was trained without is left out.

    Args:
        checkpoint: whose brain and world are replayed.
        number: of its trial.
        stage: the held-out seeds.
        say: is told what takes a while.

    Returns:
        The columns of an evaluation, and ``off``: the part, "nothing" or "all of them".

    Raises:
        CheckpointError: it is damaged.
    """
    experiment, weights = load_weights(checkpoint)
    variants = {WHOLE: {}, **parts_of(experiment)}
    if len(variants) > 2:
        variants[ALL] = {
            name: off for part in parts_of(experiment).values() for name, off in part.items()
        }
    frames = []
    for off, settings in variants.items():
        say(f"replaying trial {number} with {off} off")
        varied = experiment.with_settings(settings)
        frame = replay_policy(varied, brain(varied, weights), number, stage)
        frame.insert(1, "off", off)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def parts_of(experiment: Experiment) -> dict[str, dict[str, Any]]:
    """Return the bio parts that a brain and its world have, and the settings that end them."""
    flat = experiment.flat()
    return {
        part: off
        for part, off in PARTS.items()
        if any(flat[name] != value for name, value in off.items())
    }


def ablation_summary(table: pd.DataFrame, *, seed: int = 0) -> pd.DataFrame:
    """Return one row a part: what the winner loses without it, with a paired 95 % interval.

    Args:
        table: as ``ablate`` returns it.
        seed: of the bootstrap.

    Returns:
        ``off``, ``iqm`` with ``iqm_low`` and ``iqm_high`` of what is left, ``loss`` (the whole
        minus this) with ``loss_low`` and ``loss_high``, and ``share``, the loss as a share of
        the whole; the whole comes first, the rest by loss.
    """
    rng = np.random.default_rng(seed)
    whole = by_seed(table[table["off"] == WHOLE])
    rows = []
    for off, part in table.groupby("off", sort=False):
        left = by_seed(part)
        score = bootstrap_interval(left, rng=rng, resamples=RESAMPLES)
        loss = paired_difference(whole, left, rng=rng, resamples=RESAMPLES)
        rows.append((off, *score, *loss))
    columns = ["off", "iqm", "iqm_low", "iqm_high", "loss", "loss_low", "loss_high"]
    summary = pd.DataFrame(rows, columns=columns)
    summary["share"] = summary["loss"] / summary["iqm"].iloc[0]
    order = summary["loss"].where(summary["off"] != WHOLE, np.inf)
    return summary.iloc[np.argsort(-order.to_numpy(), kind="stable")].reset_index(drop=True)


def ablation_lines(summary: pd.DataFrame) -> list[str]:
    """Say in words what each part brings."""
    lines = []
    for row in summary[summary["off"] != WHOLE].itertuples():
        interval = f"{row.loss:.1f} [{row.loss_low:.1f}, {row.loss_high:.1f}]"
        if row.loss_low > 0:
            lines.append(f"Without {row.off} it loses {interval}, {row.share:.0%} of its return.")
        elif row.loss_high < 0:
            lines.append(f"Without {row.off} it gains: {interval} is lost, that is, won.")
        else:
            lines.append(f"Without {row.off} no difference is seen: {interval} lost.")
    return lines
