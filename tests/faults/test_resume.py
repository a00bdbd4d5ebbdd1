"""Cases 1, 12 and 31: a search goes on after it was killed, wherever its directory lies by then."""

from __future__ import annotations

import shutil
import signal
import sys
from pathlib import Path

import pytest
import simulated
from audit import check_search, ends
from conftest import COMMAND, until

from biomarl_tune.errors import UnsafeError
from biomarl_tune.search.examination import examine
from biomarl_tune.search.study import Study

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import kill_storm

pytestmark = [pytest.mark.faults, pytest.mark.timeout(500)]

TEXT = simulated.space(trials=12, iterations=4)


class _Stop(BaseException):
    """Ends a search as a killed process ends: without a word to the record."""


def _killed(results, *, after, text=TEXT, **how):
    """Begin a search and let it die after so many reports."""
    left = [after]

    class Dying(simulated.Simulated):
        def train_iteration(self):
            left[0] -= 1
            if left[0] < 0:
                raise _Stop
            return super().train_iteration()

    def begin(config):
        run = simulated.begin(config)
        run._trainer.__class__ = Dying
        Dying.__name__ = "Simulated"  # a checkpoint of another trainer is not taken up
        return run

    study = simulated.opened(results, text)
    with pytest.raises(_Stop):
        simulated.run_side_by_side(simulated.Conductor(study, ()), begin, 3, **how)
    study._record.close()
    study._lock.close()
    return study.directory.path


def test_case_1_a_storm_of_kills_loses_nothing(in_memory):
    """100 trials and 3 kills in processes of their own: the search ends like the whole one."""
    folder = in_memory / "storm"
    folder.mkdir()

    found = kill_storm.storm(folder, 100, 3, 0, kill_storm.simulated_commands)

    assert found["held"], found


@pytest.mark.parametrize("after", [3, 7, 14, 20])
def test_case_1_trials_side_by_side_are_all_taken_up(tmp_path, after):
    """Three under way: each goes on under its own number, and the rungs are as replayed."""
    path = _killed(tmp_path, after=after)
    with Study.open(path, read_only=True) as study:
        under_way = [t.number for t in study.trials() if not t.finished]
    assert under_way

    simulated.search(tmp_path, TEXT, concurrency=3)

    check_search(path, trials=12)


def test_case_12_the_results_folder_is_enough(tmp_path):
    """After a reboot there is nothing but the run directory: no Ray, no lock, no temporary file."""
    path = _killed(tmp_path / "before", after=9)
    (path / "lock").unlink()
    (tmp_path / "after").mkdir()
    shutil.copytree(path, tmp_path / "after" / path.name)
    shutil.rmtree(tmp_path / "before")

    simulated.search(tmp_path / "after", TEXT)

    check_search(tmp_path / "after" / path.name, trials=12)


def test_case_31_moved_and_copied_runs_go_on_alike(tmp_path):
    """The original and its copy, each resumed on its own, end as the run would have."""
    simulated.search(tmp_path / "whole", TEXT)
    path = _killed(tmp_path / "first", after=9)
    shutil.copytree(tmp_path / "first", tmp_path / "copy of it, 100%")
    (tmp_path / "first").rename(tmp_path / "moved")

    for results in (tmp_path / "moved", tmp_path / "copy of it, 100%"):
        simulated.search(results, TEXT)

        check_search(results / path.name, trials=12)
    assert ends(tmp_path / "moved" / path.name) == ends(tmp_path / "copy of it, 100%" / path.name)


def test_case_31_a_changed_spec_is_refused(tmp_path):
    """It names the command that may change some of it."""
    path = _killed(tmp_path, after=9)
    (path / "spec.yaml").write_text(TEXT.replace("0.9]", "0.8]"))

    with pytest.raises(UnsafeError, match=r"spec.yaml: was changed .*`biomarl-tune extend"):
        Study.open(path)
    assert not examine(path).healthy


def test_a_copy_older_than_its_checkpoints_goes_on_from_the_record(tmp_path):
    """A database that lost its last writes is the record all the same."""
    simulated.search(tmp_path / "whole", TEXT)
    text = TEXT.replace("trials: 12", "trials: 2").replace("name: simulated", "name: two")
    path = _killed(tmp_path / "a", after=2, text=text)
    shutil.copy(path / "study.db", tmp_path / "study.db")
    simulated.search(tmp_path / "a", text)
    shutil.copy(tmp_path / "study.db", path / "study.db")

    simulated.search(tmp_path / "a", text)

    check_search(path, trials=2)


@pytest.mark.slow
def test_a_real_search_killed_under_the_local_engine_ends_like_the_whole_one(
    started, spec, tmp_path
):
    """Killed in the middle, then resume: the same settings and the same results."""
    file = spec(trials=4, iterations=6, batch=1600)
    engine = ["--engine", "local"]
    whole = started(*COMMAND, "run", file, "--results", tmp_path / "whole", *engine)
    process = started(*COMMAND, "run", file, "--results", tmp_path / "killed", *engine)
    until(process, "trial 1: starts")
    process.send_signal(signal.SIGKILL)
    process.wait()
    again = started(*COMMAND, "resume", tmp_path / "killed" / "small", *engine)

    assert (again.communicate()[1], again.returncode) == ("", 0)
    assert (whole.communicate()[1], whole.returncode) == ("", 0)
    assert examine(tmp_path / "killed" / "small").findings == ()
    assert ends(tmp_path / "killed" / "small") == ends(tmp_path / "whole" / "small")
