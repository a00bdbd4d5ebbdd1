from __future__ import annotations

import math
import shutil
import sqlite3
import subprocess
import sys
from itertools import pairwise

import optuna
import pytest

from biomarl_tune.errors import InputError, RunExistsError, StorageError, TrialError, UnsafeError
from biomarl_tune.search import database
from biomarl_tune.search.rungs import rungs
from biomarl_tune.search.spec import parse_spec
from biomarl_tune.search.study import Study


def _score(settings, iteration):
    return -abs(settings["env.pheromone_decay"] - 0.6) + 0.01 * iteration


def _report(study, number, iteration, value=1.0, **more):
    scalars = {"episode_return_mean": value, "agent_steps": 100.0 * iteration}
    return study.report(number, iteration, scalars, seconds=float(iteration), **more)


def _drive(study, stop_at=None):
    """Run trials one after another to their end, or to a (number, iteration)."""
    while proposal := study.suggest():
        for iteration in range(proposal.iteration + 1, study.spec.stopping.max_iterations + 1):
            _report(study, proposal.number, iteration, _score(proposal.settings, iteration))
            if stop_at == (proposal.number, iteration):
                return
            decision = study.decide(proposal.number)
            if decision.action == "stop":
                study.finish(proposal.number, "PRUNED", decision.reason)
                break
        else:
            study.finish(proposal.number, "COMPLETE", "max_iterations")


def _kill(study):
    """Let go of the files as a killed process does, without a word to the record."""
    study._record.close()
    study._lock.close()


def _optuna_study(study):
    storage = f"sqlite:///{study.directory.database}"
    return optuna.load_study(study_name=study.spec.name, storage=storage)


def test_create_lays_down_the_run_directory(study, search_space):
    """spec.yaml is the file as given, experiment.json the resolved defaults."""
    files = {path.name for path in study.directory.path.iterdir()}

    assert files >= {"spec.yaml", "experiment.json", "study.db"}
    assert study.directory.spec.read_text() == search_space
    assert '"num_agents": 4' in study.directory.experiment.read_text()


def test_existing_run_is_refused(study, search_space):
    """A second study of the same name is refused before anything is written."""
    with pytest.raises(RunExistsError, match="biomarl-tune resume"):
        Study.create(study.directory.path.parent, study.spec, search_space)


def test_starts_come_first_with_their_settings(study):
    """The first trials are the entries of start_with over the fixed settings."""
    first, second, third = (study.suggest() for _ in range(3))

    assert (first.number, first.start, first.experiment.model.hidden_dim) == (0, "start_with", 256)
    assert second.settings == {"env.pheromone_decay": 0.7, "model.hidden_dim": 256}
    assert second.experiment.env.num_agents == 4
    assert (third.number, third.start) == (2, "sampler")
    assert third.settings["model.hidden_dim"] in {16, 32}


def test_trials_run_out(study):
    """After the last trial there is no proposal."""
    proposals = [study.suggest() for _ in range(7)]

    assert [proposal.number for proposal in proposals[:6]] == list(range(6))
    assert proposals[6] is None


def test_each_step_is_committed_when_it_returns(study):
    """Another connection sees proposal, report and end at once."""
    reader = Study.open(study.directory.path, read_only=True)
    reader.close()
    study.suggest()
    _report(study, 0, 1, 2.5, checkpoint="")
    study.finish(0, "PRUNED", "asha: too low")

    with Study.open(study.directory.path, read_only=True) as reader:
        (trial,) = reader.trials()
        assert (trial.state, trial.stopped_because) == ("PRUNED", "asha: too low")
        assert trial.last.value("episode_return_mean") == 2.5
        assert reader.reports() == study.reports()


def test_optuna_reads_the_study_as_its_own(study):
    """Numbers, parameters, intermediate values, states and attributes are Optuna's."""
    study.suggest()
    study.suggest()
    study.suggest()
    for number, value in ((1, 1.0), (2, 2.0)):
        _report(study, number, 1, value)
        _report(study, number, 2, value + 1)
    study.finish(1, "PRUNED", "asha")
    study.finish(2, "COMPLETE", "max_iterations")
    study.finish(0, "FAILED", "crash", "Traceback ...")

    failed, pruned, complete = _optuna_study(study).trials

    assert [trial.state.name for trial in (failed, pruned, complete)] == [
        "FAIL",
        "PRUNED",
        "COMPLETE",
    ]
    assert complete.params == study.trials()[2].settings
    assert pruned.params == {"env.pheromone_decay": 0.7}  # the default width is no choice
    assert pruned.intermediate_values == {1: 1.0, 2: 2.0}
    assert (pruned.value, complete.value, failed.value) == (2.0, 3.0, None)
    assert pruned.user_attrs["stopped_because"] == "asha"
    assert failed.user_attrs["error"] == "Traceback ..."
    assert _optuna_study(study).best_trial.number == 2


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None, "x"])
def test_non_finite_objective_fails_the_trial_at_once(study, value):
    """The trial is FAILED with the reason, has no value and enters no rung."""
    study.suggest()
    _report(study, 0, 1, 1.0)

    with pytest.raises(TrialError, match=r"trial 0: episode_return_mean is .* at iteration 2"):
        _report(study, 0, 2, value)

    trial = study.trials()[0]
    assert (trial.state, trial.stopped_because) == ("FAILED", "non-finite objective")
    assert len(study.reports()) == 1
    assert _optuna_study(study).trials[0].value is None


def test_missing_objective_fails_the_trial(study):
    """A report without the metric is as bad as one that is not a number."""
    study.suggest()

    with pytest.raises(TrialError, match="episode_return_mean is nan"):
        study.report(0, 1, {"kl": 0.1}, seconds=1.0)


def test_other_scalars_may_be_undefined(study):
    """A scalar that is not the objective may be NaN, and unknown ones are left out."""
    study.suggest()

    study.report(0, 1, {"episode_return_mean": 1, "kl": math.nan, "mystery": 3}, seconds=1.0)

    (report,) = study.reports()
    assert math.isnan(report.scalars["kl"])
    assert "mystery" not in report.scalars


def test_ended_trials_take_no_reports(study):
    """A late report of a stopped trial is refused, a second end is ignored."""
    study.suggest()
    _report(study, 0, 1)
    study.finish(0, "PRUNED", "first")

    with pytest.raises(TrialError, match="trial 0: is PRUNED"):
        _report(study, 0, 2)
    assert study.finish(0, "FAILED", "second").stopped_because == "first"


def test_an_end_without_a_report_is_a_failure(study):
    """A trial that never reported has no value, so it cannot be complete."""
    study.suggest()

    assert study.finish(0, "COMPLETE", "max_iterations").state == "FAILED"


def test_redone_iterations_replace_what_was_recorded(study):
    """A report of an earlier iteration removes it and all later ones, in both tables."""
    study.suggest()
    for iteration in (1, 2, 3):
        _report(study, 0, iteration, float(iteration))

    _report(study, 0, 2, 20.0)

    assert [(report.iteration, report.sequence) for report in study.reports()] == [(1, 1), (2, 4)]
    assert study.curves == {0: {1: 1.0, 2: 20.0}}
    assert _optuna_study(study).trials[0].intermediate_values == {1: 1.0, 2: 20.0}


def test_rewind_forgets_what_comes_after(study):
    """A trial that goes on from iteration 1 has reported just that."""
    study.suggest()
    for iteration in (1, 2, 3):
        _report(study, 0, iteration, float(iteration))

    study.rewind(0, 1)

    assert study.last_iteration(0) == study.trials()[0].iteration == 1
    assert study.curves == {0: {1: 1.0}}
    assert _optuna_study(study).trials[0].intermediate_values == {1: 1.0}
    _report(study, 0, 2, 5.0)
    assert study.reports()[-1].sequence == 4


def test_a_gap_in_the_iterations_is_refused(study):
    """A trial that continues ahead of the record would leave a hole."""
    study.suggest()
    _report(study, 0, 1)

    with pytest.raises(UnsafeError, match="trial 0: reported iteration 3 after 1"):
        _report(study, 0, 3)


def test_checkpoint_is_recorded_with_its_hash(study):
    """The hash is that of the manifest, and stays when the checkpoint does."""
    study.suggest()
    checkpoint = study.directory.trial(0) / "checkpoints" / "iteration-000001"
    checkpoint.mkdir(parents=True)
    (checkpoint / "manifest.json").write_bytes(b"{}")

    first = _report(study, 0, 1, checkpoint="checkpoints/iteration-000001")
    second = _report(study, 0, 2, checkpoint="checkpoints/iteration-000001")

    assert first.checkpoint_sha256.startswith("44136fa355b3678a")
    assert second.checkpoint_sha256 == first.checkpoint_sha256


def test_interrupted_trials_go_on_first_under_their_number(study):
    """Closing lets running trials wait; a later process gets them before new ones."""
    study.suggest()
    settings = study.suggest().settings
    _report(study, 1, 1)
    study.finish(0, "FAILED", "crash")
    study.close()

    with Study.open(study.directory.path) as reopened:
        assert [trial.number for trial in reopened.resume()] == [1]
        again = reopened.suggest()
        assert (again.number, again.settings, again.iteration) == (1, settings, 1)
        assert reopened.suggest().number == 2


@pytest.mark.parametrize("stop_at", [(0, 1), (2, 1), (3, 2), (4, 4), (5, 1)])
def test_a_killed_search_ends_as_the_whole_one(tmp_path, search_space, stop_at):
    """Killed anywhere and resumed: same settings, states, values and rungs, nothing twice."""
    spec = parse_spec(search_space)
    with Study.create(tmp_path / "whole", spec, search_space) as whole:
        _drive(whole)
    killed = Study.create(tmp_path / "killed", spec, search_space)
    _drive(killed, stop_at)
    _kill(killed)

    with Study.open(killed.directory.path) as resumed:
        resumed.resume()
        _drive(resumed)

        ends = [(t.number, t.state, t.settings, t.iteration) for t in resumed.trials()]
        assert ends == [(t.number, t.state, t.settings, t.iteration) for t in whole.trials()]
        assert resumed.curves == whole.curves
        assert rungs(resumed.curves, spec.stopping) == rungs(whole.curves, spec.stopping)
        sequences = [report.sequence for report in resumed.reports()]
        assert all(earlier < later for earlier, later in pairwise(sequences))
        states = {trial.state.name for trial in _optuna_study(resumed).trials}
        assert states <= {"COMPLETE", "PRUNED"}


def test_resume_ends_what_had_reached_its_end(study):
    """A last report at max_iterations, or one that the rule condemns, needs no more work."""
    for number, value in ((0, 3.0), (1, 2.0)):
        study.suggest()
        _report(study, number, 1, value)
    for iteration in (2, 3, 4):
        _report(study, 0, iteration, 3.0)
    _kill(study)

    with Study.open(study.directory.path) as reopened:
        assert reopened.resume() == []
        complete, pruned = reopened.trials()
        assert (complete.state, complete.stopped_because) == ("COMPLETE", "all iterations done")
        assert (pruned.state, pruned.stopped_because[:5]) == ("PRUNED", "asha:")


def test_resume_judges_a_report_by_what_was_known_then(study):
    """A trial that went on at a rung is not stopped for what others reported later."""
    study.suggest()
    study.suggest()
    _report(study, 0, 1, 1.0)
    assert study.decide(0).action == "continue"
    _report(study, 1, 1, 2.0)
    _kill(study)

    with Study.open(study.directory.path) as reopened:
        assert [trial.number for trial in reopened.resume()] == [0, 1]


def test_a_moved_run_goes_on(study, tmp_path):
    """Nothing in the record depends on where the directory lies, odd characters included."""
    study.suggest()
    study.close()
    moved = tmp_path / "else where" / "100% {ok}?#"
    moved.parent.mkdir()
    shutil.move(study.directory.path, moved)

    with Study.open(moved) as reopened:
        assert [trial.number for trial in reopened.resume()] == [0]
        assert reopened.suggest().number == 0


def test_name_and_seed_given_at_the_start_stay(tmp_path, search_space):
    """What the command line replaced is still replaced after reopening."""
    spec = parse_spec(search_space, name="other", seed=11)
    Study.create(tmp_path, spec, search_space).close()

    with Study.open(tmp_path / "other") as study:
        assert (study.spec.name, study.spec.seed) == ("other", 11)


def test_time_spent_is_kept_over_starts(study):
    """The budget of minutes counts all starts together."""
    study.seconds_spent = 12.5
    study.close()

    with Study.open(study.directory.path) as reopened:
        assert reopened.seconds_spent == 12.5


def test_a_changed_spec_is_refused_for_writing_only(study):
    """Another search space cannot be continued; the tables can still be read."""
    study.close()
    study.directory.spec.write_text(study.directory.spec.read_text() + "# changed\n")

    with pytest.raises(UnsafeError, match=r"spec.yaml: was changed since the search began"):
        Study.open(study.directory.path)
    with Study.open(study.directory.path, read_only=True) as reader:
        assert reader.spec.name == "small"


def test_a_living_writer_is_not_disturbed(study):
    """A second writer is refused while the first is there, a reader is not."""
    with pytest.raises(UnsafeError, match="is running this search"):
        Study.open(study.directory.path)
    with Study.open(study.directory.path, read_only=True) as reader:
        assert reader.trials() == []


def test_what_is_no_run_is_refused(tmp_path, study):
    """No directory, no database, a damaged one and a foreign one each have their error."""
    study.close()
    file = study.directory.database
    with pytest.raises(InputError, match=r"is no run directory, it has no study.db"):
        Study.open(tmp_path / "none")

    file.write_bytes(b"x" * 4096)
    with pytest.raises(UnsafeError, match=r"study.db: is damaged or no study"):
        Study.open(study.directory.path)

    file.unlink()
    with pytest.raises(UnsafeError, match=r"it has no study.db"):
        Study.open(study.directory.path)

    optuna.create_study(storage=f"sqlite:///{file}", study_name="foreign")
    with pytest.raises(UnsafeError, match="is no study of biomarl-tune"):
        Study.open(study.directory.path)


def test_a_newer_schema_is_refused(study):
    """A record of a later version is left alone, and the lock is free again."""
    study._record.set_attribute("biomarl_tune", {"schema": 99})
    study.close()

    with pytest.raises(UnsafeError, match="has schema 99, this version knows 1"):
        Study.open(study.directory.path)
    with pytest.raises(UnsafeError, match="has schema 99"):
        Study.open(study.directory.path)


def test_a_locked_database_is_a_storage_error(study, monkeypatch):
    """A writer that does not let go is named as such; afterwards the report can be told again."""
    study.suggest()
    study.close()
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)
    with Study.open(study.directory.path) as reopened:
        reopened.suggest()
        blocker = sqlite3.connect(study.directory.database, isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")

        with pytest.raises(StorageError, match="database is locked"):
            _report(reopened, 0, 1)

        blocker.execute("ROLLBACK")
        blocker.close()
        assert reopened.last_iteration(0) == 0
        assert _report(reopened, 0, 1).iteration == 1


def test_a_killed_process_leaves_a_readable_record(tmp_path, search_space):
    """After kill -9 in the middle, the database is sound and holds all that was acknowledged."""
    (tmp_path / "a.yaml").write_text(search_space)
    code = (
        "import os, pathlib, sys\n"
        "from biomarl_tune.search.spec import parse_spec\n"
        "from biomarl_tune.search.study import Study\n"
        "root = pathlib.Path(sys.argv[1])\n"
        "text = (root / 'a.yaml').read_text()\n"
        "study = Study.create(root, parse_spec(text), text)\n"
        "study.suggest()\n"
        "study.report(0, 1, {'episode_return_mean': 1.5}, seconds=1.0)\n"
        "os.kill(os.getpid(), 9)\n"
    )

    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)

    assert done.returncode == -9
    with Study.open(tmp_path / "small") as study:
        assert [trial.number for trial in study.resume()] == [0]
        assert study.curves == {0: {1: 1.5}}


def test_versions_that_differ_are_warned_of(study, caplog, monkeypatch):
    """A search that goes on with another Ray says so in the log."""
    study.close()
    monkeypatch.setattr("importlib.metadata.version", lambda _package: "99.9")

    Study.open(study.directory.path).close()

    assert "and goes on with 99.9" in caplog.text
