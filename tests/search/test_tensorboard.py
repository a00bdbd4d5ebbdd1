"""TensorBoard events, read back as TensorBoard reads them."""

from __future__ import annotations

import time

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from biomarl_tune.scalars import SCALARS
from biomarl_tune.search.tensorboard import TensorBoard


def report(iteration):
    """Return a report whose scalars are ten times the iteration."""
    return dict.fromkeys(SCALARS, 10.0 * iteration) | {"iteration": iteration}


@pytest.fixture
def write(tmp_path):
    """Return a function that writes some iterations of trial 3, after an earlier start."""

    def write(iterations, *, after=0, end=True):
        events = TensorBoard(lambda number: tmp_path / str(number), "episode_return_mean")
        events.started(3, {"env.pheromone_decay": 0.5, "env.grid_size": [4, 3, 3]}, after)
        for iteration in iterations:
            events.reported(3, report(iteration))
        if end:
            events.ended(3, "COMPLETE", "all iterations done")
        events.close()

    return write


def read(folder):
    """Return what TensorBoard finds in a folder."""
    events = EventAccumulator(str(folder))
    events.Reload()
    return events


def test_every_scalar_is_written_under_its_name(write, tmp_path):
    """With the iteration as its step."""
    write([1, 2])

    events = read(tmp_path / "3")

    for name in SCALARS:
        assert [(e.step, e.value) for e in events.Scalars(name)] == [(1, 10.0), (2, 20.0)]


def test_a_start_that_goes_on_hides_what_came_after_its_checkpoint(write, tmp_path):
    """Iterations 3 and 4 were done twice; they are shown once, as they were done last."""
    write([1, 2, 3, 4], end=False)
    time.sleep(1.01)  # a file's name holds the second of its start
    write([3, 4, 5], after=4)

    steps = [event.step for event in read(tmp_path / "3").Scalars("kl")]

    assert steps == [1, 2, 3, 4, 5]


def test_a_trial_without_reports_has_no_hyper_parameters(write, tmp_path):
    """There is no result to show beside them."""
    write([])

    assert read(tmp_path / "3").Tags()["scalars"] == []
