"""Importance and dependence where the truth is planted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from biomarl_tune.analysis.dependence import dependence_lines, dependences, encode
from biomarl_tune.analysis.sensitivity import (
    ENOUGH,
    Sample,
    comparable_trials,
    importances,
)
from biomarl_tune.analysis.trials import load_metrics, load_trials
from biomarl_tune.search.space import Dimension
from biomarl_tune.search.study import Study

SPACE = {
    "env.pheromone_decay": Dimension("uniform", 0.2, 1.0),
    "model.neural_plasticity_rate": Dimension("loguniform", 0.01, 1.0),
    "model.hidden_dim": Dimension("choice", choices=(64, 128)),
}


@pytest.fixture
def sample():
    """Forty trials that decay alone decides: a peak of 100 at 0.6, with noise of 3."""
    rng = np.random.default_rng(0)
    settings = pd.DataFrame(
        {
            "env.pheromone_decay": rng.uniform(0.2, 1.0, size=40),
            "model.neural_plasticity_rate": np.exp(rng.uniform(np.log(0.01), 0.0, size=40)),
            "model.hidden_dim": rng.choice([64, 128], size=40),
        }
    )
    peak = 100 - 500 * (settings["env.pheromone_decay"] - 0.6) ** 2
    return Sample(settings, peak + rng.normal(0.0, 3.0, size=40), SPACE, "max", 40, "40 trials")


def test_the_setting_that_matters_is_found(sample):
    """Both methods give decay most of the variation, in shares that sum to one."""
    table = importances(sample)

    first = table.loc[table.groupby("method")["importance"].idxmax()]
    assert set(first["setting"]) == {"env.pheromone_decay"}
    assert (first["importance"] > 0.6).all()
    assert table.groupby("method")["importance"].sum().tolist() == pytest.approx([1.0, 1.0])
    assert (table["low"] <= table["importance"]).all()
    assert (table["importance"] <= table["high"]).all()


def test_the_band_holds_the_peak_and_no_more(sample):
    """Values near 0.6 are as good as the best, those at the ends are not; the others are flat."""
    decay, rate, hidden = dependences(sample)

    assert decay.values[decay.best] == pytest.approx(0.6, abs=0.08)
    good = np.array(decay.values)[decay.as_good]
    assert 0.4 < good.min() <= 0.6 <= good.max() < 0.8
    assert rate.is_flat
    assert hidden.is_flat
    truth = 100 - 500 * (np.array(decay.values) - 0.6) ** 2
    assert np.abs(decay.mean - truth).max() < 8
    lines = dependence_lines([decay, hidden], sample)
    assert "is as good as the best value" in lines[0]
    assert lines[1].startswith("model.hidden_dim: no value can be told from the best")


def test_small_is_good_where_the_objective_is_a_cost(sample):
    """Turned upside down and minimised, the same band comes out."""
    cost = Sample(**{**vars(sample), "values": -sample.values, "mode": "min"})

    (up, *_), (down, *_) = dependences(sample), dependences(cost)

    assert up.band == down.band


def test_settings_are_scaled_to_the_unit_interval():
    """A range by its bounds, logarithmically where it was drawn so; a choice column by column."""
    log = encode(Dimension("loguniform", 0.01, 1.0), [0.01, 0.1, 1.0])

    assert log[:, 0] == pytest.approx([0.0, 0.5, 1.0])
    assert encode(Dimension("choice", choices=(64, 128)), [128, 64]).tolist() == [[0, 1], [1, 0]]


def test_stopped_trials_do_not_mix_with_complete_ones(finished):
    """Too few trials are complete, so those that reached a rung are compared, and it is said."""
    with Study.open(finished, read_only=True) as study:
        spec = study.spec

    found = comparable_trials(spec, load_trials(finished), load_metrics(finished))

    assert found.iterations == 2
    assert list(found.values.index) == list(range(1, 14))  # trial 0 lies outside the space
    assert len(found.values) >= ENOUGH
    assert not found.is_final
    assert "too few to compare" in found.note
    assert dependence_lines(dependences(found), found)[0].startswith(
        "env.pheromone_decay: at iteration 2, "
    )


def test_a_handful_of_trials_says_nothing(finished):
    """With fewer than twelve trials of any budget there is only a note."""
    with Study.open(finished, read_only=True) as study:
        spec = study.spec
    metrics = load_metrics(finished)

    found = comparable_trials(spec, load_trials(finished).head(5), metrics)

    assert not found.is_enough
    assert found.note.startswith("Too few trials of equal budget")
