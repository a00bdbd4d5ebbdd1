from __future__ import annotations

import itertools
import subprocess
import sys

import pytest

from biomarl_tune import faults


@pytest.fixture
def counting(monkeypatch):
    """Points are counted from 1 again."""
    monkeypatch.setattr(faults, "_points", itertools.count(1))


def test_without_a_fault_nothing_happens(counting):
    """Points pass."""
    assert [faults.write_point() for _ in range(3)] == [None] * 3


def test_the_disk_fails_from_the_point_on(counting, monkeypatch):
    """With the error that was asked for."""
    monkeypatch.setenv(faults.FAIL_AT, "2:ENOSPC")

    faults.write_point()
    for _ in range(2):
        with pytest.raises(OSError, match="No space left on device"):
            faults.write_point()


def test_the_process_ends_at_the_point():
    """At once, without clean-up."""
    code = (
        "from biomarl_tune.faults import write_point\n"
        "try:\n    write_point(); print('one', flush=True); write_point()\n"
        "finally:\n    print('never')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        capture_output=True,
        text=True,
        env={faults.CRASH_AT: "2"},
    )

    assert (done.returncode, done.stdout) == (faults.CRASH_CODE, "one\n")
