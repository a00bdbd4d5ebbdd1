"""A search space file: what is searched, for what, how long and how the result is checked."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from biomarl_tune.experiment import Experiment
from biomarl_tune.search.consistency import (
    check_points,
    checked_space,
    checked_starts,
    fixed_settings,
)
from biomarl_tune.search.refusal import SpecError, nearest, refusal_from
from biomarl_tune.search.sections import (
    Budget,
    Evaluation,
    Objective,
    Sampling,
    Section,
    Stopping,
)
from biomarl_tune.search.space import Dimension
from biomarl_tune.search.yaml_file import KeyPath, parse, read_file, shown

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_RESERVED = re.compile(r"(CON|PRN|AUX|NUL|COM[0-9]|LPT[0-9])(\..*)?|.*\.", re.IGNORECASE)
_PACKAGES: dict[str, tuple[str, ...]] = {"gp": ("torch", "scipy"), "cmaes": ("cmaes",)}
_SectionT = TypeVar("_SectionT", bound=Section)


class SearchSpec(BaseModel):
    """A checked search space.

    Attributes:
        name: of the run and its directory.
        seed: of the proposals; of the experiment too, unless the file gives that one its own.
        experiment: the fixed settings over the defaults; what a setting is where not searched.
        fixed: the settings that the file gives under `experiment`, by dotted name.
        space: the searched settings by dotted name.
        objective: one or two; early stopping follows the first.
        search: sampler, trials, concurrency, and the complete settings of the first trials.
        stopping: rungs or median rule, and the longest a trial runs.
        budget: wall time.
        evaluation: the stage after the search.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", revalidate_instances="never")

    name: str
    seed: int = 0
    experiment: Experiment
    fixed: dict[str, Any]
    space: dict[str, Dimension]
    objective: tuple[Objective, ...]
    search: Sampling
    stopping: Stopping
    budget: Budget
    evaluation: Evaluation


def load_spec(path: Path, *, name: str | None = None, seed: int | None = None) -> SearchSpec:
    """Read and check a search space file; `name` and `seed` replace the file's own.

    Raises:
        InputError: ``file:line: key.path: problem, got value; remedy``.
    """
    return parse_spec(read_file(path), str(path), name=name, seed=seed)


def parse_spec(
    text: str, source: str = "spec", *, name: str | None = None, seed: int | None = None
) -> SearchSpec:
    """Check a search space given as YAML text.

    Args:
        text: the YAML.
        source: what error messages call the file.
        name: replaces the file's name of the run.
        seed: replaces the file's seed.

    Raises:
        InputError: ``source:line: key.path: problem, got value; remedy``.
    """
    document = parse(text, source)
    given = {"name": name, "seed": seed}
    overrides = {key: value for key, value in given.items() if value is not None}
    tree = {**document.tree, **overrides} if isinstance(document.tree, dict) else document.tree
    try:
        return spec_from(tree)
    except SpecError as refusal:
        raise document.error(refusal.path, refusal.problem) from None


def spec_from(tree: Any) -> SearchSpec:
    """Check a search space given as nested mappings, as a YAML file holds it.

    Raises:
        SpecError: an InputError that names the key, the problem, the value and the remedy.
    """
    if not isinstance(tree, dict):
        raise SpecError((), f"must be a mapping with name and space, got {shown(tree)}")
    for key in tree:
        if key not in SearchSpec.model_fields or key == "fixed":
            known = [field for field in SearchSpec.model_fields if field != "fixed"]
            raise SpecError((key,), f"there is no such key{nearest(key, known)}")
    for key in ("name", "space"):
        if key not in tree:
            raise SpecError((key,), "is missing; add it")
    name = checked_name(tree["name"])
    seed = _seed(tree.get("seed", 0))
    experiment, fixed = fixed_settings(_part(tree, "experiment"), seed)
    space = checked_space(tree["space"], experiment, fixed)
    check_points(space, experiment)
    objective = _objectives(tree.get("objective", {}))
    sampling = _sampling(_part(tree, "search"), space, experiment, objective)
    stopping = _stopping(_part(tree, "stopping"))
    if sampling.seeds_per_trial > 1 and stopping.scheduler == "median":
        problem = "several seeds are raced by asha, not by median; use asha or none"
        raise SpecError(("search", "seeds_per_trial"), problem)
    return SearchSpec(
        name=name,
        seed=seed,
        experiment=experiment,
        fixed=fixed,
        space=space,
        objective=objective,
        search=sampling,
        stopping=stopping,
        budget=_section(Budget, _part(tree, "budget"), ("budget",)),
        evaluation=_section(Evaluation, _part(tree, "evaluation"), ("evaluation",)),
    )


def checked_name(name: Any) -> str:
    """Return a run's name if it can be a directory's on any system.

    Raises:
        SpecError: it cannot.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        want = "must be 1 to 64 letters, digits, dots, - or _ and begin with a letter or digit"
        raise SpecError(("name",), f"{want}, got {shown(name)}")
    if _RESERVED.fullmatch(name):
        raise SpecError(("name",), f"is a name that some systems reserve, got {name}; add a word")
    return name


def _part(tree: dict[str, Any], key: str) -> Any:
    """Return a part of the file that may be left out or left empty."""
    return {} if tree.get(key) is None else tree[key]


def _seed(seed: Any) -> int:
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**31:
        raise SpecError(
            ("seed",), f"must be a whole number from 0 to {2**31 - 1}, got {shown(seed)}"
        )
    return seed


def _section(model: type[_SectionT], tree: Any, path: KeyPath) -> _SectionT:
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        raise refusal_from(error, model, path) from None


def _objectives(tree: Any) -> tuple[Objective, ...]:
    if not isinstance(tree, list):
        return (_section(Objective, {} if tree is None else tree, ("objective",)),)
    if not 1 <= len(tree) <= 2:
        raise SpecError(("objective",), f"must be one or two metrics, got {len(tree)}")
    found = tuple(_section(Objective, part, ("objective", i)) for i, part in enumerate(tree))
    if len({objective.metric for objective in found}) < len(found):
        raise SpecError(
            ("objective", 1), f"repeats the metric, got {found[1].metric}; leave one out"
        )
    return found


def _sampling(
    tree: Any,
    space: dict[str, Dimension],
    experiment: Experiment,
    objective: tuple[Objective, ...],
) -> Sampling:
    path: KeyPath = ("search",)
    starts = tree.get("start_with") if isinstance(tree, dict) else None
    if starts is not None and not isinstance(starts, list):
        raise SpecError((*path, "start_with"), f"must be a list of settings, got {shown(starts)}")
    rest = {k: v for k, v in tree.items() if k != "start_with"} if isinstance(tree, dict) else tree
    sampling = _section(Sampling, rest, path)
    _check_sampler(sampling.sampler, len(objective))
    first = checked_starts(starts or [], space, experiment)
    if len(first) > sampling.trials:
        problem = f"must be at least the {len(first)} entries of start_with, got {sampling.trials}"
        raise SpecError((*path, "trials"), problem)
    return sampling.model_copy(update={"start_with": first})


def _check_sampler(sampler: str, objectives: int) -> None:
    path: KeyPath = ("search", "sampler")
    for package in _PACKAGES.get(sampler, ()):
        if importlib.util.find_spec(package) is None:
            problem = f"{sampler} needs the package {package}; install it, or use tpe"
            raise SpecError(path, problem)
    if sampler == "cmaes" and objectives > 1:
        raise SpecError(path, "cmaes takes one objective, got 2; use tpe")


def _stopping(tree: Any) -> Stopping:
    default = Stopping()
    if isinstance(tree, dict) and "grace_iterations" not in tree:
        longest = tree.get("max_iterations", default.max_iterations)
        if isinstance(longest, int) and not isinstance(longest, bool):
            tree = {**tree, "grace_iterations": max(1, min(default.grace_iterations, longest))}
    stopping = _section(Stopping, tree, ("stopping",))
    if stopping.grace_iterations > stopping.max_iterations:
        problem = (
            f"must be at most max_iterations, got grace_iterations={stopping.grace_iterations} "
            f"max_iterations={stopping.max_iterations}"
        )
        raise SpecError(("stopping", "grace_iterations"), problem)
    if stopping.audit and stopping.scheduler != "asha":
        problem = f"checks the rungs of asha, scheduler is {stopping.scheduler}; leave it out"
        raise SpecError(("stopping", "audit"), problem)
    return stopping
