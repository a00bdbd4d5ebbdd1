"""Pictures of what came after the search; read back, not compared by pixel."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest

from biomarl_tune.analysis.dependence import Dependence
from biomarl_tune.analysis.findings import (
    landscape,
    partial_dependence,
    performance_profiles,
    robustness_matrix,
)


def test_profiles_fall_from_all_to_none():
    """One line a checkpoint, named; every episode is above the least return or at it."""
    figure = performance_profiles({3: np.array([[1.0, 2.0]]), -1: np.array([[0.0, 1.0]])})

    winner, defaults = figure.axes[0].get_lines()
    assert [winner.get_label(), defaults.get_label()] == ["trial 3", "defaults"]
    assert winner.get_ydata()[0] == 1.0
    assert winner.get_ydata()[-1] == defaults.get_ydata()[-1] == 0.0


def test_dependence_marks_the_band():
    """The caption names the values that are as good as the best."""
    x = np.array([0.0, 1.0, 2.0])
    found = Dependence(
        setting="env.pheromone_decay", values=[0.2, 0.4, 0.6], mean=x, low=x - 1, high=x + 1,
        best=2, as_good=np.array([False, True, True]), is_range=True,
    )  # fmt: skip

    caption = " ".join(partial_dependence(found).get_supxlabel().split())

    assert "0.4-0.6 is as good as the best, 0.6" in caption


def test_matrix_has_a_cell_a_world_and_checkpoint():
    """Shares stand in their cells."""
    summary = pd.DataFrame(
        {"number": [0, 0, -1, -1], "num_agents": ["5", "9"] * 2, "kept": [1.0, 0.5, 1.0, 0.25]}
    )

    axes = robustness_matrix(summary).axes[0]

    assert [text.get_text() for text in axes.texts] == ["100%", "100%", "50%", "25%"]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["trial 0", "defaults"]


@pytest.mark.parametrize("seeds", [1, 3])
def test_landscape_has_a_panel_a_setting(seeds):
    """Means stand at their values, and the picture can be written."""
    rows = pd.DataFrame(
        [
            {"setting": name, "value": value, "seed": seed, "return": 10 * value + seed}
            for name in ("env.pheromone_decay", "model.hidden_dim", "ppo.clip")
            for value in (1, 2)
            for seed in range(seeds)
        ]
    )

    figure = landscape(rows)
    figure.savefig(io.BytesIO(), format="png", dpi=30)

    first, *_, hidden = figure.axes
    assert not hidden.get_visible()
    offset = (seeds - 1) / 2
    assert list(first.get_lines()[0].get_ydata()) == [10 + offset, 20 + offset]
