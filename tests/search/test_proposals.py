from __future__ import annotations

import importlib.util
from dataclasses import replace

import pytest

from biomarl_tune.search.proposals import Proposals
from biomarl_tune.search.spec import parse_spec
from biomarl_tune.search.trial import Report, Trial

SPACE = """\
name: a
seed: 1
space:
  env.pheromone_decay: {uniform: [0.2, 0.9]}
  model.plasticity: {choice: [true, false]}
  model.neural_plasticity_rate: {loguniform: [0.01, 0.5], when: {model.plasticity: true}}
"""
FLAT = """\
name: a
seed: 1
space:
  env.pheromone_decay: {uniform: [0.2, 0.9]}
  env.pheromone_diffusion: {uniform: [0.0, 0.5]}
"""


def _ended(number, proposed, state="COMPLETE"):
    settings, system = proposed
    score = -abs(settings["env.pheromone_decay"] - 0.6)
    report = Report(0, number, 0, 4, 1.0, 1.0, "", "", {"episode_return_mean": score})
    return Trial(number, state, settings, "sampler", "", last=report, system=system)


def _run(spec, trials, until, states=("COMPLETE", "PRUNED", "PRUNED")):
    """Propose and end trials up to a number; return all settings."""
    proposals = Proposals(spec)
    for number in range(len(trials), until):
        proposed = proposals.propose(number, trials)
        trials[number] = _ended(number, proposed, states[number % len(states)])
    return [trials[number].settings for number in range(until)]


def _sampler(name):
    if name == "cmaes" and importlib.util.find_spec("cmaes") is None:
        pytest.skip("cmaes is not installed")
    return f"search: {{sampler: {name}}}"


@pytest.mark.parametrize("sampler", ["tpe", "random", "gp", "cmaes"])
def test_a_reopened_record_proposes_as_before(sampler):
    """After 13 of 16 trials, a new process proposes bit for bit what the old one would have."""
    spec = parse_spec(FLAT + _sampler(sampler))
    whole = _run(spec, {}, 16)
    trials = {}
    _run(spec, trials, 13)

    assert _run(spec, trials, 16) == whole


def test_conditions_hold_and_survive_a_reopening():
    """The rate is proposed where plasticity is on, and only there, in both histories."""
    spec = parse_spec(SPACE)
    whole = _run(spec, {}, 20)
    trials = {}
    _run(spec, trials, 15)

    assert _run(spec, trials, 20) == whole
    for settings in whole:
        assert ("model.neural_plasticity_rate" in settings) == settings["model.plasticity"]
    assert {settings["model.plasticity"] for settings in whole} == {True, False}


def test_two_objectives_with_pruned_trials_propose():
    """Pruned trials, which Optuna cannot rank by two objectives, do not disturb it."""
    text = FLAT + "objective: [{}, {metric: cpu_seconds, mode: min}]"

    assert len(_run(parse_spec(text), {}, 14)) == 14


def test_seed_and_number_decide():
    """Another seed proposes otherwise, the same one alike."""
    first, again = (_run(parse_spec(FLAT), {}, 3) for _ in range(2))
    other = _run(parse_spec(FLAT, seed=2), {}, 3)

    assert first == again
    assert all(mine != theirs for mine, theirs in zip(first, other, strict=True))


def test_tpe_learns():
    """After 45 trials its proposals lie nearer to the optimum at 0.6 than random ones."""
    errors = {}
    for sampler in ("tpe", "random"):
        settings = _run(parse_spec(FLAT + _sampler(sampler)), {}, 60, states=("COMPLETE",))
        errors[sampler] = sum(abs(point["env.pheromone_decay"] - 0.6) for point in settings[45:])

    assert errors["tpe"] < errors["random"] / 2


def test_failed_trials_are_left_out():
    """Failed trials change nothing: proposals stay random, as with no trial at all."""
    spec = parse_spec(FLAT)
    failed = {}
    _run(spec, failed, 12, states=("FAILED",))
    good = {}
    _run(spec, good, 12, states=("COMPLETE",))

    nothing_known = Proposals(spec).propose(12, {})[0]

    assert Proposals(spec).propose(12, failed)[0] == nothing_known
    assert Proposals(spec).propose(12, good)[0] != nothing_known


def test_trials_outside_the_space_are_left_out():
    """A default outside the space runs, but the sampler is not told of it."""
    spec = parse_spec(FLAT)
    inside = {}
    _run(spec, inside, 12)
    settings = {"env.pheromone_decay": 0.95, "env.pheromone_diffusion": 0.0}
    outside = Trial(12, "COMPLETE", settings, "start_with", "", last=inside[0].last)

    with_it = Proposals(spec).propose(13, {**inside, 12: outside})[0]

    assert with_it == Proposals(spec).propose(13, inside)[0]


def test_running_trials_keep_others_away():
    """What is running counts as poor, so that nobody proposes next to it."""
    spec = parse_spec(FLAT)
    trials = {}
    _run(spec, trials, 12, states=("COMPLETE",))
    proposals = Proposals(spec)
    first = proposals.propose(12, trials)
    running = replace(_ended(12, first), state="RUNNING", last=None)

    live = proposals.propose(13, {**trials, 12: running})[0]
    reopened = Proposals(spec).propose(13, {**trials, 12: running})[0]
    waiting = Proposals(spec).propose(13, {**trials, 12: replace(running, state="WAITING")})[0]

    assert live == reopened == waiting
    assert live != Proposals(spec).propose(13, trials)[0]


def test_a_small_space_is_used_up_before_settings_repeat():
    """Six points in six trials are all different; the seventh has to repeat one."""
    text = "name: a\nspace:\n  env.pheromone_decay: {uniform: [0.5, 1.0], step: 0.1}\n"

    settings = _run(parse_spec(text), {}, 7)

    assert len({point["env.pheromone_decay"] for point in settings[:6]}) == 6
    assert settings[6] in settings[:6]
