"""Cases 34 to 37: mutated search spaces, each answered within a second and without a traceback."""

from __future__ import annotations

import os
import random
import shutil
import time
from pathlib import Path

import pytest

from biomarl_tune import preflight
from biomarl_tune.errors import InputError, StorageError
from biomarl_tune.search.spec import load_spec, parse_spec

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

SPACES = sorted((Path(__file__).parents[2] / "search_spaces").glob("*.yaml"))
MUTATIONS = int(os.environ.get("BIOMARL_MUTATIONS", "2000"))
INSERTED = (
    *"{}[]:,&*!|>'\"%@`#-? \t\n\r\0\x07\u202e\ufeff",
    "&a [*a]",
    "*a",
    "!!python/object/apply:os.system [id]",
    "!!binary x",
    "<<: {a: 1}",
    "on",
    "1e-4",
    ".nan",
    "-.inf",
    "1" * 400,
    "9" * 5000,
    "[" * 60,
    "{a: " * 60,
    "---\n",
    "...\n",
    "? ",
    "'" * 3,
    "../../etc/x",
    "CON",
    "true",
    "~",
    "0x1F",
    "0o7",
    "é" * 200,
)


def mutated(text: str, rng: random.Random) -> str:
    """Return a text with one to five pieces inserted, deleted, doubled, swapped or replaced."""
    for _ in range(rng.randint(1, 5)):
        begin = rng.randrange(len(text) + 1)
        end = min(len(text), begin + rng.choice((1, 1, 2, 5, 20, 200)))
        piece = rng.choice(
            (
                "",
                rng.choice(INSERTED),
                rng.choice(INSERTED) + text[begin:end],
                text[begin:end] * rng.choice((2, 3, 50)),
                text[end : end + 20] + text[begin:end],
                str(rng.choice((-1, 0, 1e400, 2**70, -0.0, 1e-320))),
            )
        )
        text = text[:begin] + piece + text[end:]
    return text


@pytest.mark.parametrize("part", range(4))
def test_cases_34_35_mutated_files_are_taken_or_refused_with_a_line(part):
    """Sound, or one line of complaint that names the file; at most a second each."""
    rng = random.Random(part)
    slowest, refusals = 0.0, []
    for _ in range(MUTATIONS // 4):
        text = mutated(rng.choice(SPACES).read_text(), rng)
        begin = time.process_time()
        try:
            preflight.check_cpus(parse_spec(text, "fuzz.yaml"))
        except InputError as error:
            refusals.append(str(error))
        slowest = max(slowest, time.process_time() - begin)
    assert len(refusals) > MUTATIONS // 4 // 4
    assert [text for text in refusals if "\n" in text or len(text) > 2000] == []
    assert slowest < 1.0


def test_case_36_more_cpus_than_there_are_are_refused_at_once(monkeypatch):
    """Tune would wait for them for ever."""
    monkeypatch.setattr(preflight, "available_cpus", lambda: 1)
    spec = load_spec(SPACES[0].with_name("pheromone.yaml"))

    with pytest.raises(InputError, match=r"ppo.num_env_runners: 1 env runners"):
        preflight.check_cpus(spec)


def test_case_20_a_disk_without_room_for_checkpoints_is_refused(monkeypatch, tmp_path):
    """Before anything is written."""
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10**6))

    with pytest.raises(StorageError, match=r"1\.0 MB are free, a search like this needs"):
        preflight.check_room(tmp_path / "not" / "there", load_spec(SPACES[0]))
