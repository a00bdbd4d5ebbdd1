from __future__ import annotations

from biomarl_tune.search.leftovers import (
    drop_half_written,
    drop_unrecorded,
    half_written,
    unrecorded,
)


def _make(trial, *names):
    for name in names:
        (trial / "checkpoints" / name).mkdir(parents=True)


def test_half_written_checkpoints_are_found_and_dropped(tmp_path):
    """In every trial and training seed; finished ones stay."""
    trial = tmp_path / "trials" / "3"
    _make(trial, "iteration-000001", ".writing-000002-77", "seed-1/.writing-000001-77")

    assert len(half_written(tmp_path)) == 2
    drop_half_written(tmp_path)

    assert half_written(tmp_path) == []
    assert (trial / "checkpoints" / "iteration-000001").is_dir()


def test_checkpoints_ahead_of_the_record_are_dropped(tmp_path):
    """One iteration ahead is the report under way, more is not of this record."""
    _make(tmp_path, "iteration-000003", "iteration-000004", "iteration-000005")
    _make(tmp_path, "seed-1/iteration-000002", "seed-1/iteration-000003")

    def last(seed):
        return {0: 3, 1: 1}[seed]

    assert [path.name for path in unrecorded(tmp_path, last)] == [
        "iteration-000005",
        "iteration-000003",
    ]
    drop_unrecorded(tmp_path, last)

    assert unrecorded(tmp_path, last) == []
