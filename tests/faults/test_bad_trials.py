"""Cases 13 to 19: trials that go wrong, while the search goes on."""

from __future__ import annotations

import math

import pytest
import simulated

from biomarl_tune.errors import NoUsableTrialError
from biomarl_tune.ppo.checkpoint import save_checkpoint
from biomarl_tune.ppo.local import LocalTrainer
from biomarl_tune.run import Search
from biomarl_tune.search.conductor import Conductor
from biomarl_tune.search.examination import examine
from biomarl_tune.search.study import Study

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

TEXT = simulated.space(trials=8, iterations=4)


def _searched(results, act, text=TEXT):
    """Run a search whose trainers call ``act(trainer, scalars)`` at the end of each iteration."""

    class Acting(simulated.Simulated):
        def train_iteration(self):
            return act(self, super().train_iteration())

    def begin(config):
        run = simulated.begin(config)
        run._trainer.__class__ = Acting
        return run

    path = simulated.search(results, text, begin_one=begin)
    with Study.open(path, read_only=True) as study:
        return study.trials(), study.curves, path


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None, "high"])
def test_case_13_a_value_that_is_no_number_fails_the_trial(tmp_path, value):
    """It is FAILED at that report, is in no rung after it, and nobody is measured against it."""

    def spoil(trainer, scalars):
        bad = trainer.experiment.env.pheromone_decay > 0.6 and trainer.iteration == 2
        return {**scalars, "episode_return_mean": value} if bad else scalars

    trials, curves, path = _searched(tmp_path, spoil)

    failed = [trial for trial in trials if trial.state == "FAILED"]
    assert failed
    assert all(trial.iteration == 1 for trial in failed)
    assert all(2 not in curves[trial.number] for trial in failed)
    assert {trial.state for trial in trials} >= {"COMPLETE"}
    assert examine(path).findings == ()


def test_case_13_a_missing_value_fails_the_trial(tmp_path):
    """As one that is not finite."""

    def spoil(trainer, scalars):
        if trainer.experiment.env.pheromone_decay > 0.6:
            del scalars["episode_return_mean"]
        return scalars

    trials, _, _ = _searched(tmp_path, spoil)

    assert {trial.state for trial in trials} >= {"FAILED", "COMPLETE"}


@pytest.mark.parametrize("error", [ValueError(), KeyError("a"), MemoryError("no more\nof it")])
def test_case_14_an_exception_fails_its_trial_alone(tmp_path, error):
    """The reason is in the record on one line, the traceback in the trial's folder."""

    def spoil(trainer, scalars):
        if trainer.experiment.env.pheromone_decay > 0.6:
            raise error
        return scalars

    trials, _, path = _searched(tmp_path, spoil)

    failed = next(trial for trial in trials if trial.state == "FAILED")
    assert failed.stopped_because.startswith(type(error).__name__)
    assert "\n" not in failed.stopped_because
    assert "Traceback" in (path / "trials" / str(failed.number) / "error.txt").read_text()
    assert {trial.state for trial in trials} >= {"COMPLETE"}


def test_case_15_an_iteration_past_its_limit_fails_its_trial_alone(tmp_path):
    """The local engine stops it where it hangs."""
    text = TEXT.replace("grace_iterations: 1", "grace_iterations: 1, iteration_seconds: 1")

    def hang(trainer, scalars):
        if trainer.experiment.env.pheromone_decay > 0.8:
            while True:
                math.sqrt(2)
        return scalars

    trials, _, _ = _searched(tmp_path, hang, text)

    failed = [trial for trial in trials if trial.state == "FAILED"]
    assert "took longer than 1 seconds" in failed[0].stopped_because
    assert {trial.state for trial in trials} >= {"COMPLETE"}


def test_case_17_three_trials_that_fail_alike_end_the_search(tmp_path, monkeypatch, spec):
    """What is broken everywhere is told once, with exit code 4, and not a hundred times."""
    calls = []

    def broken(trainer, *_):
        calls.append(trainer)
        message = "no such world"
        raise ImportError(message)

    monkeypatch.setattr(LocalTrainer, "__init__", broken)

    with pytest.raises(NoUsableTrialError, match="ImportError: no such world") as raised:
        Search.load(spec(trials=20)).run(tmp_path, engine="local")

    assert raised.value.exit_code == 4
    assert len(calls) == 3
    assert "no such world" in (tmp_path / "small" / "trials" / "0" / "error.txt").read_text()


@pytest.mark.ray
def test_case_17_a_trial_that_cannot_begin_under_ray_says_why(tmp_path, spec, ray_session):
    """Its first report is the failure; the process then begins another trial."""
    from biomarl_tune.rllib.algorithm import BioPPO  # noqa: PLC0415 - imports Ray

    experiment = Search.load(spec()).spec.experiment

    def unreadable(folder):
        (folder / "progress.json").write_text("no JSON")

    save_checkpoint(tmp_path / "0" / "checkpoints", 1, experiment, {}, unreadable)
    trials = [
        {"number": i, "directory": str(tmp_path / str(i)), "max_iterations": 2} for i in (0, 1)
    ]
    tree = {"experiment": experiment.model_dump()}
    algorithm = BioPPO({**tree, "trial": trials[0]})
    try:
        assert algorithm.train()["failure"].startswith("JSONDecodeError")
        assert algorithm.reset({**tree, "trial": trials[1]})
        assert algorithm.train()["iteration"] == 1
    finally:
        algorithm.stop()


def test_case_18_a_search_ends_when_its_minutes_are_over(tmp_path, monkeypatch):
    """The budget of all starts together counts."""
    text = TEXT + "budget: {minutes: 1}\n"
    study = simulated.opened(tmp_path, text)
    study.seconds_spent = 61.0
    study.close()

    path = simulated.search(tmp_path, text)

    assert examine(path).trials == {}


def test_case_19_when_all_fail_there_is_no_best(tmp_path, monkeypatch, spec):
    """Exit code 4, though each failed for a reason of its own."""
    monkeypatch.setattr(Conductor, "hopeless", "")

    def broken(trainer):
        message = f"broken {id(trainer)}"
        raise ValueError(message)

    monkeypatch.setattr(LocalTrainer, "train_iteration", broken)

    with pytest.raises(NoUsableTrialError) as raised:
        Search.load(spec(trials=4)).run(tmp_path, engine="local")

    assert raised.value.exit_code == 4
    assert examine(tmp_path / "small").trials == {"FAILED": 4}
