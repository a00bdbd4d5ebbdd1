"""Starting Ray."""

from __future__ import annotations

import subprocess
import sys

import pytest
import ray

from biomarl_tune.errors import EngineError
from biomarl_tune.search.cluster import ray_started

TOO_SLOW = "The current node timed out during startup.\nMore words."


@pytest.fixture
def calls(monkeypatch):
    """What Ray is asked to do; it never really starts."""
    calls = []
    monkeypatch.setattr(ray, "shutdown", lambda: calls.append("shutdown"))
    monkeypatch.setattr(ray, "init", lambda **arguments: calls.append(arguments))
    return calls


def fails(*messages):
    """Return an `init` that raises these, one a call."""
    left = list(messages)

    def init(**_arguments):
        if left:
            raise RuntimeError(left.pop(0))

    return init


def test_ray_is_started_here_and_stopped(calls):
    """A cluster that happens to run on the machine is left alone."""
    with ray_started(3):
        assert calls[0]["address"] == "local"
        assert calls[0]["num_cpus"] == 3

    assert calls[1:] == ["shutdown"]


def test_a_cluster_is_joined_as_it_is(calls):
    """Its processors are its own."""
    with ray_started(3, "ray-head:6379"):
        assert calls[0]["address"] == "ray-head:6379"
        assert "num_cpus" not in calls[0]


def test_a_busy_machine_gets_a_second_chance(calls, monkeypatch):
    """Ray waits thirty seconds for its own processes, which may be too short."""
    monkeypatch.setattr(ray, "init", fails(TOO_SLOW))

    with ray_started(2):
        calls.append("here")

    assert calls == ["shutdown", "here", "shutdown"]


@pytest.mark.parametrize("messages", [(TOO_SLOW, TOO_SLOW), ("no shared memory",)])
def test_where_ray_cannot_start_one_line_says_so(calls, monkeypatch, messages):
    """With what to try."""
    monkeypatch.setattr(ray, "init", fails(*messages))

    with pytest.raises(EngineError) as refused, ray_started(2):
        calls.append("not reached")

    reason = messages[-1].splitlines()[0]
    assert str(refused.value) == f"Ray cannot start: {reason}; try --engine local"
    assert "not reached" not in calls


LOOK = """
import os, sys, time
import psutil, ray
from ray.tune import Trainable
from ray.tune.execution.class_cache import _ActorClassCache
from ray.util.placement_group import placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy
import biomarl_tune.search.tuner
from biomarl_tune.search.cluster import ray_started

class Probe(Trainable):
    def look(self):
        return os.getpid(), "biomarl_tune.rllib.algorithm" in sys.modules

def waiting():
    children = psutil.Process().children(recursive=True)
    return {child.pid for child in children if "ray::IDLE" in "".join(child.cmdline())}

with ray_started(1):
    deadline = time.monotonic() + 60
    while not (ahead := waiting()) and time.monotonic() < deadline:
        time.sleep(0.1)
    group = placement_group([{"CPU": 1}])  # as Tune does, which reserves the processor
    ray.get(group.ready())
    strategy = PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=0)
    actor = _ActorClassCache().get(Probe).options(num_cpus=1, scheduling_strategy=strategy).remote()
    process, imported = ray.get(actor.look.remote())
    print("found:", process in ahead, imported)
"""


def test_trials_run_in_the_processes_that_ray_starts_ahead():
    """They have imported RLlib by then; a process of its own would take seconds to do so."""
    done = subprocess.run(
        [sys.executable, "-c", LOOK], capture_output=True, text=True, timeout=240, check=False
    )

    assert "found: True True" in done.stdout, done.stderr
