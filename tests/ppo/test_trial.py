"""A trial: when it writes checkpoints, what it reports, and how it goes on from them."""

import pytest

from biomarl_tune.errors import TrialError
from biomarl_tune.ppo.local import LocalTrainer
from biomarl_tune.ppo.trial import Trial, TrialRun, failure_report

TIMES = ("seconds", "cpu_seconds", "sample_seconds", "learn_seconds", "agent_steps_per_second")


@pytest.fixture
def trial(tmp_path):
    """Trial 7 of a run, with rungs at iterations 2 and 6."""
    directory = tmp_path / "trials" / "7"
    directory.mkdir(parents=True)
    return Trial(number=7, directory=directory, max_iterations=9, checkpoint_iterations=(2, 6))


@pytest.mark.parametrize(
    ("iteration", "seconds", "due"),
    [(1, 0.0, False), (2, 0.0, True), (3, 59.0, False), (3, 60.0, True), (9, 0.0, True)],
)
def test_checkpoints_are_due_at_rungs_at_the_end_and_after_a_minute(trial, iteration, seconds, due):
    """And not at every iteration."""
    assert trial.checkpoint_due(iteration, seconds_since_last=seconds) is due


def test_an_interrupted_run_is_checkpointed_at_once(trial, tmp_path):
    """The file ``interrupt`` in the run directory makes a checkpoint due."""
    (tmp_path / "interrupt").touch()
    assert trial.checkpoint_due(3, seconds_since_last=0.0)


def _alike(report):
    """Return the numbers that must not depend on the machine: no times, no memory."""
    told = {name: value for name, value in report.items() if name not in (*TIMES, "rss_mb")}
    return {name: value for name, value in told.items() if not isinstance(value, str)}


def test_reports_count_and_name_the_newest_checkpoint(trial, tiny):
    """From 1, with time that only grows."""
    run = TrialRun(trial, LocalTrainer(tiny()))

    reports = [run.step() for _ in range(3)]

    assert [report["iteration"] for report in reports] == [1, 2, 3]
    assert [report["checkpoint"] for report in reports] == [
        "",
        "checkpoints/iteration-000002",
        "checkpoints/iteration-000002",
    ]
    seconds = [report["seconds"] for report in reports]
    assert 0 < seconds[0] < seconds[1] < seconds[2]


def test_a_lost_process_is_continued_as_if_nothing_had_happened(trial, tiny):
    """First the checkpoint's own report, marked; then the same numbers as without the loss."""
    whole = TrialRun(trial, LocalTrainer(tiny()))
    expected = [_alike(whole.step()) for _ in range(4)]

    resumed = TrialRun(trial, LocalTrainer(tiny()))
    first, *rest = (_alike(resumed.step()) for _ in range(3))

    assert first == {**expected[1], "again": True}
    assert rest == [pytest.approx(report, rel=1e-6) for report in expected[2:]]


def test_a_damaged_checkpoint_is_passed_over(trial, tiny):
    """The one before it is taken."""
    run = TrialRun(trial, LocalTrainer(tiny()))
    for _ in range(6):
        run.step()
    (trial.checkpoints / "iteration-000006" / "weights.safetensors").write_bytes(b"")

    assert TrialRun(trial, LocalTrainer(tiny())).step()["iteration"] == 2


def test_the_two_newest_checkpoints_are_kept(trial, tiny):
    """The newest, and the one before in case it is damaged."""
    run = TrialRun(trial, LocalTrainer(tiny()))
    for _ in range(9):
        run.step()

    names = sorted(path.name for path in trial.checkpoints.iterdir())
    assert names == ["iteration-000006", "iteration-000009"]


def test_what_goes_wrong_becomes_a_report(trial, tiny, monkeypatch):
    """The reason on one line, and the whole traceback."""
    run = TrialRun(trial, LocalTrainer(tiny()))

    def fail():
        msg = "first line\nlast line"
        raise TrialError(msg)

    monkeypatch.setattr(run._trainer, "train_iteration", fail)
    report = run.step()

    assert report["failure"] == "TrialError: last line"
    assert "train_iteration" in report["traceback"]


def test_an_error_without_words_is_named_by_its_kind():
    """There is always a reason."""
    assert failure_report(MemoryError())["failure"] == "MemoryError"
