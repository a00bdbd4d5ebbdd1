"""Several training seeds a trial: the stages, the comparison and the whole of a search."""

from __future__ import annotations

import pytest

from biomarl_tune.analysis.evaluation import Stage as Evaluation
from biomarl_tune.analysis.evaluation import evaluate_study
from biomarl_tune.analysis.trials import load_metrics, load_trials
from biomarl_tune.errors import InputError
from biomarl_tune.search.conductor import Conductor
from biomarl_tune.search.racing import (
    Stage,
    beats,
    field_of,
    finished_stage,
    race,
    stages,
    survives,
)
from biomarl_tune.search.sections import Stopping
from biomarl_tune.search.serial import run_serially
from biomarl_tune.search.spec import parse_spec
from biomarl_tune.search.study import Study

SEARCH_SPACE = """\
name: raced
experiment:
  env: {num_agents: 2, max_episode_steps: 20, grid_size: [2, 1, 1]}
  ppo: {train_batch_size: 400, minibatch_size: 200, rollout_steps: 10, num_epochs: 1}
space:
  env.pheromone_decay: {uniform: [0.2, 0.9]}
  model.hidden_dim: {choice: [4, 8]}
search: {sampler: random, trials: 4, seeds_per_trial: 3}
stopping: {scheduler: asha, max_iterations: 4, grace_iterations: 1, reduction: 2}
"""
PLAN = (Stage(1, 1), Stage(2, 2), Stage(4, 3))
RUNS = [(0, 1), (0, 2), (1, 1), (1, 2), *((0, i) for i in (3, 4)), *((1, i) for i in (3, 4))]
RUNS += [(2, i) for i in (1, 2, 3, 4)]


def _create(root):
    return Study.create(root, parse_spec(SEARCH_SPACE), SEARCH_SPACE)


def _report(seed, iteration, value):
    return {
        "iteration": iteration,
        "seed": seed,
        "episode_return_mean": value,
        "agent_steps": 100.0 * iteration,
        "seconds": 1.0 * iteration,
        "cpu_seconds": 2.0 * iteration,
        "checkpoint": "",
    }


def _feed(conductor, values, runs=RUNS):
    """Report a trial whose seeds have these values at all iterations, as long as it goes on."""
    number = conductor.next_task().number
    for seed, iteration in runs:
        if not conductor.take(number, _report(seed, iteration, values[seed])):
            break
    return number


@pytest.mark.parametrize(
    ("seeds", "expected"), [(1, []), (2, [1, 2, 2]), (3, [1, 2, 3]), (5, [2, 4, 5])]
)
def test_each_rung_adds_seeds(seeds, expected):
    """With rungs at 1 and 2 and the end at 4; a single seed needs no stages."""
    stopping = Stopping(max_iterations=4, grace_iterations=1, reduction=2)

    plan = stages(stopping, seeds)

    assert [stage.seeds for stage in plan] == expected
    assert not plan or [stage.level for stage in plan] == [1, 2, 4]


@pytest.mark.parametrize(
    ("done", "lost", "stage"),
    [
        ({}, (), None),
        ({0: 1}, (), PLAN[0]),
        ({0: 2}, (), None),
        ({0: 2, 1: 1}, (), None),
        ({0: 2, 1: 2}, (), PLAN[1]),
        ({0: 2, 1: 1}, (1,), PLAN[1]),
        ({0: 4, 1: 4, 2: 4}, (), PLAN[2]),
        ({0: 4, 1: 1, 2: 4}, (1,), PLAN[2]),
        ({0: 1}, (0,), None),
    ],
)
def test_a_stage_is_finished_when_its_last_seed_is(done, lost, stage):
    """Between two stages no rule has a say."""
    assert finished_stage(PLAN, done, lost) == stage


def test_a_trial_survives_while_a_seed_of_its_stage_is_left():
    """The first stage has one seed; in the second one of two may crash."""
    assert not survives(PLAN, {0: 0}, (0,))
    assert survives(PLAN, {0: 2, 1: 1}, (1,))
    assert not survives(PLAN, {0: 2, 1: 1}, (0, 1))
    assert not survives((), {0: 3}, (0,))


def test_a_crashed_seed_counts_as_the_worst_there_was():
    """Trial 1 lost its second seed: it gets the 2 that trial 0 had; trial 2 is not there yet."""
    values = {0: {0: {2: 5.0}, 1: {2: 2.0}}, 1: {0: {2: 9.0}, 1: {1: 8.0}}, 2: {0: {2: 1.0}}}

    field = field_of(values, Stage(2, 2), {1: (1,)}, "max")

    assert field == {0: {0: 5.0, 1: 2.0}, 1: {0: 9.0, 1: 1.0}}


@pytest.mark.parametrize(
    ("first", "second", "better"),
    [
        ((2,), (1,), True),
        ((1,), (1,), False),
        ((5, 15), (4, 14), True),  # one more on each seed, however far the seeds lie apart
        ((5, 15), (4, 20), False),
        ((6, 6, 6), (5, 5, 6.5), False),  # mean 0.5, error 0.5, times 1.06
        ((6, 6, 6), (5, 5, 6.1), True),  # mean 0.63, error 0.37
    ],
)
def test_trials_are_compared_seed_by_seed(first, second, better):
    """A lead has to exceed the noise of the differences, not that of the seeds."""
    rows = (dict(enumerate(first)), dict(enumerate(second)))

    assert beats(*rows, "max") is better
    negative = ({s: -v for s, v in row.items()} for row in rows)
    assert beats(*negative, "min") is better


def test_what_noise_may_explain_is_no_reason_to_drop():
    """The last of three by its mean goes on while nobody is ahead of it beyond the noise."""
    field = {0: {0: 9.0, 1: 1.0}, 1: {0: 1.0, 1: 8.5}, 2: {0: 5.0, 1: 4.0}}

    assert race(field, 2, Stage(2, 2), 2, "max").action == "continue"
    worse = race({**field, 0: {0: 9.0, 1: 8.0}}, 2, Stage(2, 2), 2, "max")
    assert worse.action == "stop"
    assert worse.reason == (
        "asha: 4.5 at iteration 2 over 2 seeds is beaten by 1 of 3 trials in paired comparisons, "
        "1 may go on"
    )


def test_the_record_holds_every_seed_and_the_value_is_their_mean(tmp_path):
    """Complete after the last seed of the last stage, with the time of all."""
    with _create(tmp_path) as study:
        _feed(Conductor(study, ()), (3.0, 4.0, 8.0))
        (row,) = load_trials(study.directory.path).to_dict("records")
        metrics = load_metrics(study.directory.path)

    assert (row["state"], row["value"], row["iterations"]) == ("COMPLETE", 5.0, 4)
    assert (row["seconds"], row["cpu_seconds"], row["agent_steps"]) == (12.0, 24.0, 1200.0)
    assert metrics.groupby("seed")["iteration"].agg(list).tolist() == [[1, 2, 3, 4]] * 3


def test_a_trial_is_dropped_between_stages_only(tmp_path):
    """The second trial loses on its first seed at the first rung; a third one at the next."""
    with _create(tmp_path) as study:
        conductor = Conductor(study, ())
        for values in ((5.0, 5.0, 5.0), (1.0, 9.0, 9.0), (6.0, 1.0, 9.0), (7.0, 2.0, 9.0)):
            _feed(conductor, values)
        trials = study.trials()
        reports = {n: len(study.reports(n)) for n in range(4)}

    assert [trial.state for trial in trials] == ["COMPLETE", "PRUNED", "COMPLETE", "COMPLETE"]
    assert reports == {0: 12, 1: 1, 2: 12, 3: 12}


def test_a_crashed_seed_is_penalised_and_its_trial_goes_on(tmp_path):
    """Its second seed crashes at iteration 2: it is rated as the worst of that iteration."""
    with _create(tmp_path) as study:
        conductor = Conductor(study, ())
        _feed(conductor, (5.0, 4.0, 3.0))
        number = _feed(conductor, (9.0, 9.0, 9.0), runs=RUNS[:3])
        went_on = conductor.take(number, {"failure": "OSError: gone", "traceback": "", "seed": 1})
        for seed, iteration in ((0, 3), (0, 4), *((2, i) for i in (1, 2, 3, 4))):
            conductor.take(number, _report(seed, iteration, 9.0))
        trial = study.trials()[number]

    assert went_on
    assert (trial.state, trial.lost_seeds) == ("COMPLETE", {1: "OSError: gone"})
    assert trial.last.scalars["episode_return_mean"] == pytest.approx((9.0 + 3.0 + 9.0) / 3)


def test_a_trial_without_a_seed_left_has_failed(tmp_path):
    """In the first stage there is one."""
    with _create(tmp_path) as study:
        conductor = Conductor(study, ())
        number = conductor.next_task().number

        assert not conductor.take(number, {"failure": "OSError: gone", "traceback": "", "seed": 0})
        assert study.trials()[number].state == "FAILED"


def test_a_search_with_seeds_runs_and_is_evaluated_with_all_of_them(tmp_path):
    """Real training: three checkpoints of the winner are replayed, and of the defaults."""
    with _create(tmp_path) as study:
        run_serially(Conductor(study, ()))
        table = evaluate_study(study, Evaluation(1, 2, 1), print)
        trials = study.trials()

    assert {trial.state for trial in trials} == {"COMPLETE", "PRUNED"}
    winner = int(table["number"].iloc[0])
    assert table.groupby("number")["training_seed"].nunique().to_dict() == {winner: 3, -1: 3, -2: 1}
    assert load_metrics(tmp_path / "raced").query("number == @winner")["seed"].nunique() == 3


@pytest.mark.parametrize("stop_after", [3, 9])
def test_a_stopped_search_with_seeds_ends_as_the_whole_one(tmp_path, stop_after):
    """Interrupted in the second and in the third stage of its first trial, then resumed."""
    with _create(tmp_path / "whole") as study:
        run_serially(Conductor(study, ()))
        expected = _outcome(study)

    with _create(tmp_path / "parts") as study:
        conductor = Conductor(study, (_StopAfter(study, stop_after),))
        conductor.study.observed = conductor
        run_serially(conductor)
    with Study.open(tmp_path / "parts" / "raced") as study:
        study.directory.interrupt.unlink()
        study.resume()
        run_serially(Conductor(study, ()))

        assert _outcome(study) == expected


class _StopAfter:
    """Interrupt a search after so many reports."""

    def __init__(self, study, reports):
        self._study, self._left = study, reports

    def started(self, number, settings, iteration):
        """Look at reports only."""

    def reported(self, number, report):
        """Count down."""
        self._left -= 1
        if self._left == 0:
            self._study.observed.interrupt()

    def ended(self, number, state, reason):
        """Look at reports only."""


def _outcome(study):
    trials = [(t.number, t.state, t.iteration, t.stopped_because) for t in study.trials()]
    values = [round(t.last.scalars["episode_return_mean"], 5) for t in study.trials()]
    reports = {(r.number, r.seed, r.iteration) for r in study.reports()}
    return trials, values, reports


def test_the_median_rule_does_not_race_seeds():
    """It has no rungs at which seeds could be added."""
    with pytest.raises(InputError, match=r"search.seeds_per_trial: several seeds are raced"):
        parse_spec(SEARCH_SPACE.replace("asha", "median"))
