"""Case 9: a node of a cluster is taken away while trials run on it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from biomarl_tune.search.examination import examine

pytestmark = [pytest.mark.faults, pytest.mark.ray, pytest.mark.timeout(400)]


def test_case_9_trials_of_a_lost_node_finish_elsewhere(started, spec, tmp_path):
    """All end, nothing is there twice, and the CPUs come back once there is another node."""
    file = spec(trials=3, iterations=20, batch=4000, scheduler="none")
    program = Path(__file__).with_name("cluster.py")

    process = started(sys.executable, program, file, tmp_path)
    said, complained = process.communicate(timeout=350)

    assert process.returncode == 0, complained
    assert json.loads(said.splitlines()[-1]) == {"removed": True, "free_cpus": 2.0}
    found = examine(tmp_path / "small")
    assert (found.findings, found.trials) == ((), {"COMPLETE": 3})
