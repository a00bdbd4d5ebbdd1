"""Ablation on a small search, and its summary on returns made up by hand."""

from __future__ import annotations

import pandas as pd
import pytest

from biomarl_tune.analysis.ablation import (
    ALL,
    PARTS,
    WHOLE,
    ablate,
    ablation_lines,
    ablation_summary,
    parts_of,
)
from biomarl_tune.analysis.evaluation import Stage, replay_checkpoint
from biomarl_tune.experiment import Experiment
from biomarl_tune.ppo.checkpoint import latest_checkpoint

STAGE = Stage(top=1, seeds=3, episodes_per_seed=1)


def returns(off, values):
    """Return one episode a seed."""
    rows = [(7, off, seed, 0, value) for seed, value in enumerate(values)]
    return pd.DataFrame(rows, columns=["number", "off", "seed", "episode", "return"])


def test_each_part_is_switched_off_on_the_same_seeds(finished):
    """The whole brain plays what the evaluation plays; every part is left out once."""
    checkpoint = latest_checkpoint(finished / "trials" / "0" / "checkpoints")

    table = ablate(checkpoint, 0, STAGE, lambda _: None)

    assert list(table["off"].unique()) == [WHOLE, *PARTS, ALL]
    whole = table[table["off"] == WHOLE].drop(columns="off").reset_index(drop=True)
    pd.testing.assert_frame_equal(whole, replay_checkpoint(checkpoint, 0, STAGE))
    assert table.groupby("off")["seed"].nunique().eq(3).all()


def test_parts_that_are_off_already_are_left_out():
    """A brain trained without messages is not ablated of them; a visit deposit is pheromone too."""
    experiment = Experiment().with_settings(
        {"model.messages": False, "env.carrier_deposit": 0.0, "env.visit_deposit": 0.1}
    )

    assert list(parts_of(experiment)) == ["pheromone", "attention", "plasticity"]


def test_summary_pairs_the_seeds():
    """A loss of 10 on every seed is exactly 10, however much the seeds differ."""
    whole = [100.0, 200.0, 300.0, 400.0]
    table = pd.concat(
        [
            returns(WHOLE, whole),
            returns("attention", [v + s for v, s in zip(whole, (-1, 1, 1, -1), strict=True)]),
            returns("messages", [v - 10 for v in whole]),
            returns("plasticity", [v + 5 for v in whole]),
        ]
    )

    summary = ablation_summary(table)

    assert list(summary["off"]) == [WHOLE, "messages", "attention", "plasticity"]
    row = summary.set_index("off").loc["messages"]
    assert (row["loss"], row["loss_low"], row["loss_high"]) == pytest.approx((10, 10, 10))
    assert row["share"] == pytest.approx(10 / 250)
    lost, unclear, gained = ablation_lines(summary)
    assert lost == "Without messages it loses 10.0 [10.0, 10.0], 4% of its return."
    assert unclear.startswith("Without attention no difference is seen")
    assert gained.startswith("Without plasticity it gains")
