from __future__ import annotations

import numpy as np
import pytest

from biomarl_tune.search.forecast import Machine, RandomDraws, decision_iterations, play_search
from biomarl_tune.search.sections import Stopping
from biomarl_tune.search.space import suggest
from biomarl_tune.search.spec import parse_spec

SPACE = """\
name: a
space: {env.pheromone_decay: {uniform: [0.2, 0.9]}, ppo.num_env_runners: {choice: [0, 1]}}
search: {sampler: random, trials: TRIALS}
stopping: {scheduler: RULE, max_iterations: 9, grace_iterations: 1, reduction: 3}
"""


def _spec(trials, rule="none", more=""):
    return parse_spec(SPACE.replace("TRIALS", str(trials)).replace("RULE", rule) + more)


def _play(spec, *, concurrency=2, cpus=2, needs=lambda _: 1, seconds=lambda _: 2.0, start=0.0):
    machine = Machine(cpus, concurrency, new_process=start, reused_process=0.0)
    return play_search(spec, seconds, needs, machine, np.random.default_rng(0))


@pytest.mark.parametrize(("trials", "seconds"), [(1, 18.0), (2, 18.0), (3, 36.0), (4, 36.0)])
def test_trials_run_side_by_side(trials, seconds):
    """Nine iterations of 2 seconds, two trials at a time."""
    outcome = _play(_spec(trials))

    assert outcome.seconds == seconds
    assert outcome.iterations == dict.fromkeys(range(trials), 9)


def test_trials_that_need_all_processors_run_alone():
    """Two CPUs a trial: four trials take four times 18 seconds."""
    assert _play(_spec(4), needs=lambda _: 2).seconds == 72.0


def test_a_new_process_takes_its_time_and_a_reused_one_does_not():
    """One at a time: the first trial starts a process, the second takes it over."""
    assert _play(_spec(2), concurrency=1, start=5.0).seconds == 5.0 + 36.0


def test_rungs_save_iterations():
    """Under ASHA most of 30 trials end at a rung, and none of them between two."""
    outcome = _play(_spec(30, "asha"))

    ended = list(outcome.iterations.values())
    assert set(ended) <= {1, 3, 9}
    assert sum(ended) < 30 * 9 / 2
    assert ended.count(1) > ended.count(9) > 0


def test_seeds_multiply_the_work():
    """Three seeds without rungs: 27 iterations a trial, of which each seed does nine."""
    spec = parse_spec(SPACE.replace("TRIALS", "1, seeds_per_trial: 3").replace("RULE", "none"))

    outcome = _play(spec)

    assert (outcome.seconds, outcome.iterations, outcome.work) == (54.0, {0: 9}, {0: 27})


def test_the_budget_ends_a_search():
    """Half a minute holds three of ten trials of 9 seconds, one at a time; a fourth is begun."""
    spec = _spec(10, more="budget: {minutes: 0.5}\n")

    outcome = _play(spec, concurrency=1, seconds=lambda _: 1.0)

    assert (outcome.seconds, outcome.begun) == (30.0, 4)


def test_the_same_random_numbers_give_the_same_search():
    """A played search depends on its generator alone."""
    assert _play(_spec(12, "asha")) == _play(_spec(12, "asha"))


def test_decisions_of_the_median_rule_are_thinned_out():
    """It decides at every iteration; at most about ten of them are played."""
    stopping = Stopping(scheduler="median", max_iterations=105, grace_iterations=5)

    assert decision_iterations(stopping) == (5, 15, 25, 35, 45, 55, 65, 75, 85, 95, 105)


def test_draws_keep_to_the_space():
    """Every kind of range is drawn within its bounds and on its grid."""
    space = parse_spec(
        "name: a\nspace:\n"
        "  env.pheromone_decay: {uniform: [0.2, 0.8], step: 0.2}\n"
        "  model.neural_plasticity_rate: {loguniform: [0.01, 0.1]}\n"
        "  ppo.num_epochs: {int: [2, 8], step: 3}\n"
        "  model.memory_dim: {logint: [4, 64]}\n"
        "  model.plasticity: {choice: [true, false]}\n"
    ).space
    draws = RandomDraws(np.random.default_rng(1))
    base = parse_spec("name: a\nspace: {model.hidden_dim: {choice: [8]}}").experiment.flat()

    points = [suggest(draws, space, base) for _ in range(100)]

    for name, dimension in space.items():
        assert all(dimension.contains(point[name]) for point in points)
        assert len({point[name] for point in points}) > 1
