"""The simulated search and its audit, and a command line in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from biomarl_tune.search.study import Study

sys.path.insert(0, str(Path(__file__).parent))

COMMAND = [sys.executable, "-m", "biomarl_tune.cli"]

SMALL = """\
name: {name}
seed: 0
experiment:
  env: {{num_agents: 4, max_episode_steps: 40}}
  model: {{hidden_dim: 8}}
  ppo: {{train_batch_size: {batch}, minibatch_size: {batch}, num_epochs: 1{runners}}}
space:
  env.pheromone_decay: {{uniform: [0.2, 0.9]}}
search: {{sampler: random, trials: {trials}, concurrency: {concurrency}}}
stopping: {{scheduler: {scheduler}, max_iterations: {iterations}, grace_iterations: 1, reduction: 3,
           iteration_seconds: {limit}}}
evaluation: {{top: 1, seeds: 1, episodes_per_seed: 1}}
"""


def until(process, text):
    """Read what a process prints until a line holds a text; return all of it."""
    seen = ""
    for line in process.stdout:
        seen += line
        if text in line:
            return seen
    raise AssertionError(seen + process.stderr.read())


def wait_for_report(run, process, *, number=0, iteration=1, seconds=120):
    """Wait until the record of a run holds a report of a trial."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        with Study.open(run, read_only=True) as study:
            if study.last_iteration(number) >= iteration:
                return
        time.sleep(0.2)
    msg = f"no report of trial {number} in {seconds} s; exit {process.poll()}"
    raise AssertionError(msg)


@pytest.fixture
def spec(tmp_path):
    """Return a function that writes a small real search space and returns its path."""

    def write(name="small", *, trials=3, iterations=3, concurrency=1, batch=400, **more):
        text = SMALL.format(
            name=name,
            trials=trials,
            iterations=iterations,
            concurrency=concurrency,
            batch=batch,
            scheduler=more.get("scheduler", "asha"),
            limit=more.get("limit", 600),
            runners=", num_env_runners: 1" if more.get("runners") else "",
        )
        file = tmp_path / f"{name}.yaml"
        file.write_text(text)
        return file

    return write


@pytest.fixture
def started(tmp_path):
    """Return a function that starts a command and is certain to end it."""
    processes = []

    def start(*words, **more):
        environment = {**os.environ, "OMP_NUM_THREADS": "1", **more.pop("environment", {})}
        process = subprocess.Popen(
            [str(word) for word in words],
            env=environment,
            text=True,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more},
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def in_memory(tmp_path_factory):
    """A folder in memory where there is one: a process that is killed needs no disk to show it."""
    memory = Path("/dev/shm")  # noqa: S108 - emptied below
    if not os.access(memory, os.W_OK):
        yield tmp_path_factory.mktemp("disk")
        return
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)
