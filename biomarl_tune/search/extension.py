"""More of the same search: further trials, further minutes, other bounds of its ranges."""

from __future__ import annotations

import hashlib
import re
from dataclasses import asdict, replace

from biomarl_tune.errors import InputError, UnsafeError
from biomarl_tune.search.directory import RunDirectory, acquire
from biomarl_tune.search.identity import ATTRIBUTE, Identity, identity_from
from biomarl_tune.search.record import Record
from biomarl_tune.search.space import Dimension
from biomarl_tune.search.spec import SearchSpec, parse_spec
from biomarl_tune.search.yaml_file import read_file

MAX_TRIALS = 1_000_000

_AMOUNT = re.compile(r"(\+?)([0-9]{1,9}(?:\.[0-9]{1,6})?)")


def extend(directory: RunDirectory, *, trials: str = "", minutes: str = "") -> None:
    """Let a search ask for more than it began with, also when it has ended.

    What was changed in the run's spec.yaml is taken over as far as it leaves the search the same:
    bounds of ranges, trials, minutes, concurrency, the evaluation, and entries of start_with that
    have run. It is one write to the record: done, or not done.

    Args:
        directory: of the run.
        trials: how many in all (``44``), or how many more (``+20``).
        minutes: of the budget, likewise.

    Raises:
        InputError: there is nothing to extend, or an amount that cannot be.
        UnsafeError: spec.yaml asks for another search, or another process runs this one.
        StorageError: the record could not be written.
    """
    if not directory.database.is_file():
        msg = f"{directory.path}: is no run directory, it has no study.db"
        raise InputError(msg)
    with acquire(directory):
        record = Record.open(directory.database, read_only=False)
        try:
            before = identity_from(record.attributes, directory)
            handed_out = len(record.optuna_trials())
            after = _extended(before, read_file(directory.spec), handed_out, trials, minutes)
            record.set_attribute(ATTRIBUTE, asdict(after))
        finally:
            record.close()


def _extended(before: Identity, text: str, handed_out: int, trials: str, minutes: str) -> Identity:
    began, wanted = parse_spec(before.spec_text, "spec.yaml"), parse_spec(text, "spec.yaml")
    if other := _other_search(began, wanted, handed_out):
        msg = (
            f"spec.yaml: {other} was changed, which makes it another search; restore it, or start "
            "one with `biomarl-tune run`"
        )
        raise UnsafeError(msg)
    now = before.spec()
    edited = wanted.search.trials != began.search.trials
    count = wanted.search.trials if edited else now.search.trials
    if trials:
        count = _whole(_amount("--trials", trials, count))
    if not max(handed_out, 1) <= count <= MAX_TRIALS:
        msg = f"--trials: must be from {handed_out} (those begun) to {MAX_TRIALS:,}, got {count}"
        raise InputError(msg)
    edited = wanted.budget.minutes != began.budget.minutes
    budget = wanted.budget.minutes if edited else now.budget.minutes
    if minutes:
        budget = _amount("--minutes", minutes, budget)
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    after = replace(before, spec_text=text, spec_sha256=sha256, trials=count, minutes=budget)
    if after.spec() == now:
        msg = "nothing to extend: give --trials or --minutes, or other bounds in spec.yaml"
        raise InputError(msg)
    return after


def _other_search(began: SearchSpec, wanted: SearchSpec, handed_out: int) -> str:
    """Return what makes it another search; empty if nothing does."""
    for name in ("name", "seed", "experiment", "objective"):
        if getattr(began, name) != getattr(wanted, name):
            return name
    starts = began.search.start_with, wanted.search.start_with
    if starts[0] != starts[1] and max(map(len, starts)) > handed_out:
        return "search.start_with (entries may be left out once they have begun)"
    free = {name: getattr(began.search, name) for name in ("trials", "concurrency", "start_with")}
    if wanted.search.model_copy(update=free) != began.search:
        return "search"
    limit = {"iteration_seconds": wanted.stopping.iteration_seconds}
    if began.stopping.model_copy(update=limit) != wanted.stopping:
        return "stopping"
    return _other_space(began, wanted)


def _other_space(began: SearchSpec, wanted: SearchSpec) -> str:
    if list(began.space) != list(wanted.space):
        return "which settings are searched, or their order,"
    for name, dimension in began.space.items():
        if _beyond_bounds(dimension, wanted.space[name]):
            return f"space.{name} (more than the bounds of a range)"
        if began.search.sampler == "cmaes" and dimension != wanted.space[name]:
            return f"space.{name} (cmaes keeps its bounds)"
    return ""


def _beyond_bounds(began: Dimension, wanted: Dimension) -> bool:
    return replace(began, low=wanted.low, high=wanted.high) != wanted


def _amount(option: str, text: str, now: float | None) -> float:
    match = _AMOUNT.fullmatch(text.strip())
    if match is None:
        msg = f"{option}: must be a number such as 44, or +20 for so many more, got {text!r}"
        raise InputError(msg)
    if not match[1]:
        return float(match[2])
    if now is None:
        msg = f"{option}: the search has no such limit, so there is nothing to add {text} to"
        raise InputError(msg)
    return now + float(match[2])


def _whole(number: float) -> int:
    if not number.is_integer():
        msg = f"--trials: must be a whole number, got {number:g}"
        raise InputError(msg)
    return int(number)
