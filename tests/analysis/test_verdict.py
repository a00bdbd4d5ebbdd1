"""The verdict on returns made up by hand and by simulation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from biomarl_tune.analysis.contenders import DEFAULTS, RANDOM, contenders_of, summary_table
from biomarl_tune.analysis.evaluation import best_trials
from biomarl_tune.analysis.trials import load_evaluation
from biomarl_tune.analysis.verdict import (
    as_data,
    as_good,
    cheapest,
    compare,
    tied_with_leader,
    verdict_lines,
    verdict_of,
)
from biomarl_tune.search.spec import parse_spec
from biomarl_tune.search.study import Study

SEARCH_SPACE = """\
name: made-up
space:
  env.pheromone_decay: {uniform: [0.2, 0.99]}
search: {trials: 3}
stopping: {scheduler: none, max_iterations: 1}
"""
SEEDS, EPISODES = 10, 3


@pytest.fixture
def study(tmp_path):
    """Three complete trials: the search scored them 100, 90, 80 for 50, 20, 60 CPU seconds."""
    with Study.create(tmp_path, parse_spec(SEARCH_SPACE), SEARCH_SPACE) as opened:
        for number, (value, cost) in enumerate([(100.0, 50.0), (90.0, 20.0), (80.0, 60.0)]):
            opened.suggest()
            scalars = {"episode_return_mean": value}
            opened.report(number, 1, scalars, seconds=1.0, cpu_seconds=cost)
            opened.finish(number, "COMPLETE", "max_iterations")
        yield opened


def evaluation(means, *, spread=1.0, noise=0.1, rng=None):
    """Return made-up held-out episodes: a mean a number, the same seed effects for all."""
    rng = rng or np.random.default_rng(0)
    effect = rng.normal(0.0, spread, size=SEEDS)
    rows = [
        (number, seed, episode, mean + effect[seed] + rng.normal(0.0, noise), 5.0)
        for number, mean in means.items()
        for seed in range(SEEDS)
        for episode in range(EPISODES)
    ]
    return pd.DataFrame(rows, columns=["number", "seed", "episode", "return", "deliveries"])


def test_clear_winner_is_called_better(study):
    """Where no interval overlaps the highest score wins, whatever the search thought of it."""
    verdict = verdict_of(study, evaluation({0: 50, 1: 60, 2: 80, DEFAULTS: 40, RANDOM: 0}))

    assert (verdict.winner.number, verdict.finding, verdict.tied) == (2, "better", ())
    lines = verdict_lines(verdict)
    assert lines[0].startswith("Trial 2 is better than the defaults")
    assert "Trial 2 is better than the other trials replayed: trial 1" in lines[2]
    assert verdict.optimism_gap.estimate == pytest.approx(0.0, abs=1.5)


def test_tie_goes_to_the_cheaper_and_is_told(study):
    """Of two trials whose intervals overlap, the one for 20 CPU seconds beats that for 50."""
    verdict = verdict_of(study, evaluation({0: 60.3, 1: 60, 2: 20, DEFAULTS: 40, RANDOM: 0}))

    assert (verdict.leader.number, verdict.winner.number) == (0, 1)
    assert [c.number for c in verdict.tied] == [1]
    tie = verdict_lines(verdict)[2]
    assert tie.startswith("Trial 1 is not distinguishable from trial 0")
    assert "20 CPU seconds, is preferred because it cost clearly less" in tie


def test_what_is_better_than_the_defaults_is_not_left_for_what_is_not(study):
    """Trial 1 is cheaper and cannot be told from trial 0, but not from the defaults either."""
    table = evaluation({0: 60, 2: 20, DEFAULTS: 40, RANDOM: 0})
    unsteady = evaluation({1: 50}, spread=20.0)
    verdict = verdict_of(study, pd.concat([table, unsteady]))

    assert [c.number for c in verdict.tied] == [1]
    assert (verdict.winner.number, verdict.finding) == (0, "better")
    assert "what cost less is not distinguishable from the defaults" in verdict_lines(verdict)[2]


def test_about_the_same_cost_leaves_the_leader(study):
    """Five per cent less processor time is no reason to leave the highest score."""
    contenders = contenders_of(
        evaluation({0: 60.3, 1: 60, DEFAULTS: 40}), study.trials(), metric="kl", seed=0
    )
    leader, tied = tied_with_leader(contenders)
    dear = replace(tied[0], cpu_seconds=0.95 * leader.cpu_seconds)

    assert cheapest(leader, (dear,)) is leader
    assert cheapest(leader, tied) is tied[0]


@pytest.mark.parametrize(
    ("means", "finding", "opening"),
    [
        ({0: 40.2, 1: 20, DEFAULTS: 40}, "same", "Trial 0 is not distinguishable from the"),
        ({0: 30, 1: 20, DEFAULTS: 40}, "worse", "Nothing found is better than the defaults"),
    ],
)
def test_no_improvement_is_said_first(study, means, finding, opening):
    """The first sentence never calls better what is not."""
    verdict = verdict_of(study, evaluation({**means, RANDOM: 0}))

    first, *rest = verdict_lines(verdict)
    assert verdict.finding == finding
    assert first.startswith(opening)
    assert not any("is better than the defaults" in line for line in rest)


def test_defaults_that_win_are_named(study):
    """A trial that ran exactly the defaults is no discovery."""
    verdict = verdict_of(study, evaluation({0: 40, DEFAULTS: 40, RANDOM: 0}))
    same = replace(verdict, settings=verdict.default_settings)

    assert verdict_lines(same)[0].startswith("The defaults themselves come first: trial 0")


def test_one_seed_distinguishes_nothing(study):
    """A single seed has no interval, so everything is the same, and JSON holds no infinities."""
    table = evaluation({0: 60, 1: 50, DEFAULTS: 10, RANDOM: 0})
    verdict = verdict_of(study, table[table["seed"] == 0])

    data = as_data(verdict)
    assert verdict.finding == "same"
    assert data["contenders"][0]["low"] is None
    assert data["against_defaults"] == "same"
    assert "no interval" in verdict_lines(verdict)[0]


def test_summary_has_a_row_a_contender(study):
    """The table holds all three averages with bounds, and the probability of improvement."""
    verdict = verdict_of(study, evaluation({0: 60, 1: 50, DEFAULTS: 40, RANDOM: 0}))

    table = summary_table(verdict.contenders).set_index("number")
    assert list(table.index) == [0, 1, -1, -2]
    assert table.loc[0, "beats_defaults"] == 1.0
    assert table.loc[-1, "beats_defaults"] == pytest.approx(0.5)
    for name in ("iqm", "median", "mean"):
        assert (table[f"{name}_low"] <= table[name]).all()
        assert (table[name] <= table[f"{name}_high"]).all()


def test_real_search_ends_in_a_verdict(finished):
    """What the evaluation stage wrote gives a verdict over two trials, defaults and random."""
    with Study.open(finished, read_only=True) as study:
        verdict = verdict_of(study, load_evaluation(finished))
        best = {trial.number for trial in best_trials(study, 2)}

    numbers = [c.number for c in verdict.contenders]
    assert {*numbers[:2]} == best
    assert numbers[2:] == [DEFAULTS, RANDOM]
    assert (verdict.seeds, verdict.episodes) == (4, 2)


def test_lucky_seed_is_not_crowned(study, monkeypatch):
    """Over 200 simulated searches the verdict regrets less than the best last value does.

    The truth of 20 settings spreads by 10; what the search sees of each has a noise of 15, so the
    best last value is mostly luck. Held-out seeds and episodes have a noise of 5 each.
    """
    monkeypatch.setattr("biomarl_tune.analysis.contenders.RESAMPLES", 300)
    rng = np.random.default_rng(1)
    regret, naive, covered, praised = [], [], [], []
    for _ in range(200):
        truth = rng.normal(100.0, 10.0, size=20)
        seen = truth + rng.normal(0.0, 15.0, size=20)
        costs = rng.uniform(10.0, 100.0, size=20)
        top = np.argsort(-seen)[:3]
        means = {**{n: truth[n] for n in top}, DEFAULTS: 100.0}
        table = evaluation(means, spread=5.0, noise=5.0, rng=rng)
        trials = [_trial(study, n, seen[n], costs[n]) for n in top]
        contenders = contenders_of(table, trials, metric="episode_return_mean", seed=0)
        leader, tied = tied_with_leader(contenders)
        defaults = next(c for c in contenders if c.number == DEFAULTS)
        winner = cheapest(leader, as_good(leader, tied, defaults))
        regret.append(truth[top].max() - truth[winner.number])
        naive.append(truth[top].max() - truth[top[0]])
        covered.append(winner.mean.low <= truth[winner.number] <= winner.mean.high)
        if compare(winner.score, defaults.score) == "better":
            praised.append(truth[winner.number] > 100.0)

    assert np.mean(regret) < np.mean(naive)
    assert len(praised) > 20
    assert np.mean(praised) > 0.98
    # the gap is the search's score minus the held-out mean, so it covers when the mean does
    assert np.mean(covered) > 0.9


def _trial(study, number, value, cost):
    template = study.trials()[0]
    last = replace(
        template.last, number=number, cpu_seconds=cost, scalars={"episode_return_mean": value}
    )
    return replace(template, number=int(number), last=last)
