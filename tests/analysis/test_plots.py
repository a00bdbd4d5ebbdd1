"""Each picture shows what its table holds; pictures are read back, not compared by pixel."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from biomarl_tune.analysis.looks import metric_label, scale_of, setting_label
from biomarl_tune.analysis.plots import (
    best_number,
    evaluation_intervals,
    importance,
    learning_curves,
    parallel_coordinates,
    return_against_setting,
)


@pytest.fixture
def trials():
    """Four trials: two complete, one stopped early, one failed without a value."""
    return pd.DataFrame(
        {
            "number": [0, 1, 2, 3],
            "state": ["COMPLETE", "PRUNED", "COMPLETE", "FAILED"],
            "value": [10.0, 30.0, 20.0, np.nan],
            "params.env.pheromone_decay": [0.2, 0.4, 0.6, 0.8],
            "params.env.patch_units": [1, 10, 100, 1000],
            "params.model.hidden_dim": [64, 128, 64, 128],
            "params.model.neural_plasticity_rate": [0.01, np.nan, 0.3, 0.1],
        }
    )


@pytest.fixture
def metrics():
    """Three reports of trial 0, one of trial 1, and two seeds of trial 2."""
    rows = [(0, 0, 1), (0, 0, 3), (0, 0, 2), (1, 0, 1), (2, 0, 1), (2, 1, 1)]
    table = pd.DataFrame(rows, columns=["number", "seed", "iteration"])
    table["agent_steps"] = table["iteration"] * 1000
    return table.assign(episode_return_mean=table["iteration"] * 5.0)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=40)
    return buffer.getvalue()


def _caption(figure: Figure) -> str:
    return figure.get_supxlabel().replace("\n", " ")


def _legend(figure: Figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def test_learning_curves_draw_each_trial_and_seed(metrics, trials):
    """One line a trial and seed, in the order of the iterations, the best trial among them."""
    figure = learning_curves(metrics, trials)

    lines = figure.axes[0].get_lines()
    assert len(lines) == 4
    assert [1000, 2000, 3000] in [list(line.get_xdata()) for line in lines]
    assert _legend(figure) == ["stopped early (1)", "complete (1)", "best score: trial 2"]
    assert figure.axes[0].get_ylabel() == "episode return mean (reward)"


def test_return_against_setting_marks_states_and_the_best(trials):
    """One group of marks a state, a ring around the best, and a word on what is missing."""
    figure = return_against_setting(trials, "env.pheromone_decay")

    drawn = {group.get_label(): group.get_offsets().data for group in figure.axes[0].collections}
    assert drawn["stopped early (1)"].tolist() == [[0.4, 30.0]]
    assert drawn["complete (2)"].tolist() == [[0.2, 10.0], [0.6, 20.0]]
    assert drawn["best score: trial 2"].tolist() == [[0.6, 20.0]]
    assert figure.axes[0].get_xlabel() == "env.pheromone_decay (per step)"
    assert "1 of 4 trials" in _caption(figure)


def test_return_against_choices_spreads_the_marks(trials):
    """Choices stand side by side under their names, each mark within its own column."""
    figure = return_against_setting(trials, "model.hidden_dim")

    axes = figure.axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["64", "128"]
    columns = np.concatenate([group.get_offsets()[:, 0] for group in axes.collections])
    assert set(np.round(columns)) == {0.0, 1.0}


def test_evaluation_intervals_name_rows_and_bounds():
    """Rows keep their order from the top; the interval spans low to high."""
    summary = pd.DataFrame(
        {
            "number": [7, -1, -2],
            "estimate": [9.0, 5.0, 1.0],
            "low": [8.0, 4.5, -np.inf],
            "high": [11.0, 5.5, np.inf],
        }
    )

    figure = evaluation_intervals(summary)

    axes = figure.axes[0]
    names = [tick.get_text() for tick in axes.get_yticklabels()]
    assert names == ["trial 7", "defaults", "random policy"]
    bars = [bar for group in axes.containers for bar in group.lines[2][0].get_segments()]
    assert [bar[:, 0].tolist() for bar in bars] == [[8.0, 11.0], [4.5, 5.5], [1.0, 1.0]]
    assert axes.yaxis_inverted()
    assert "too few seeds" in _caption(figure)


def test_parallel_coordinates_draw_trials_with_a_value(trials):
    """Each trial with a value is a line over all settings; a range stands from 0 to 1."""
    figure = parallel_coordinates(trials)

    lines = figure.axes[0].collections[0]
    by_value = dict(zip(lines.get_array(), lines.get_segments(), strict=True))
    assert sorted(by_value) == [10.0, 20.0, 30.0]
    assert by_value[10.0][0].tolist() == [0.0, 0.0]
    assert by_value[30.0][0].tolist() == [0.0, pytest.approx(0.5)]
    assert by_value[20.0][3].tolist() == [3.0, pytest.approx(1.0)]
    assert "A gap" in _caption(figure)


def test_importance_puts_the_first_setting_on_top():
    """Bars are sorted and say their share."""
    table = pd.DataFrame({"setting": ["a", "b"], "importance": [0.7, 0.3]})

    axes = importance(table).axes[0]

    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["b", "a"]
    assert [bar.get_width() for bar in axes.patches] == [0.3, 0.7]
    assert [text.get_text() for text in axes.texts] == ["30%", "70%"]


def test_every_figure_can_be_saved(metrics, trials):
    """Each picture is rendered without a warning, at the width of a phone."""
    summary = pd.DataFrame({"number": [0], "estimate": [1.0], "low": [0.5], "high": [2.0]})
    table = pd.DataFrame(
        {"setting": ["a", "b"], "importance": [0.7, 0.3], "low": [0.6, 0.2], "high": [0.8, 0.4]}
    )
    figures = [
        learning_curves(metrics, trials),
        return_against_setting(trials, "env.patch_units"),
        evaluation_intervals(summary),
        parallel_coordinates(trials),
        importance(table),
    ]

    assert all(_png(figure).startswith(b"\x89PNG") for figure in figures)
    assert {figure.get_size_inches()[0] for figure in figures} == {4.8}


def test_nothing_to_draw_is_said(metrics, trials):
    """A search that has just begun gives pictures that say so."""
    waiting = trials.assign(value=np.nan, state="RUNNING")

    figures = [
        learning_curves(metrics[:0], waiting),
        return_against_setting(waiting, "env.pheromone_decay"),
        parallel_coordinates(waiting),
    ]

    notes = [text.get_text() for figure in figures for text in figure.axes[0].texts]
    assert notes == ["no reports yet", "no trial with a value yet", "no trial with a value yet"]


def test_best_is_a_complete_trial(trials):
    """A trial that was stopped early is never the best, and either direction is known."""
    assert best_number(trials) == 2
    assert best_number(trials, mode="min") == 0
    assert best_number(trials[trials["state"] == "FAILED"]) is None


def test_labels_carry_units():
    """Names of scalars and settings are followed by their units where there are any."""
    assert metric_label("episode_return_mean") == "episode return mean (reward)"
    assert metric_label("explained_variance") == "explained variance"
    assert setting_label("model.hidden_dim") == "model.hidden_dim (units)"
    assert setting_label("unheard.of") == "unheard.of"


@pytest.mark.parametrize(
    ("values", "ticks", "is_log"),
    [
        ([64, 256, 128, 64], ["64", "128", "256"], False),
        ([64.0, None, 128.0], ["64", "128"], False),
        ([True, False, None], ["False", "True"], False),
        (["tpe", "gp"], ["gp", "tpe"], False),
        ([0.3, 0.6], [], False),
        ([1.0, 2.0, 3.0, 4.0, 5.0], [], False),
        ([0.01, 0.02, 0.05, 0.1, 0.5], [], True),
        ([0.0, 0.02, 0.05, 0.1, 0.5], [], False),
    ],
)
def test_scales_fit_their_values(values, ticks, is_log):
    """Few values or words are choices; positive values over decades are logarithmic."""
    scale = scale_of(pd.Series(values))

    assert [label for _, label in scale.ticks] == ticks
    assert scale.is_log is is_log
