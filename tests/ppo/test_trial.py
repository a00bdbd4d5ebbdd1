"""When a trial writes a checkpoint."""

import pytest

from biomarl_tune.ppo.trial import Trial


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
