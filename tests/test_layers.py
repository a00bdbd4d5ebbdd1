"""The house has one way down: who may import whom, and where ray and torch may appear."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).parents[1] / "biomarl_tune"

# a module may import from its own layer and from those before it
LAYERS = (
    ("errors", "experiment", "scalars", "faults", "steady", "compiled", "processor"),
    ("colony",),
    ("brain",),
    ("ppo",),
    ("rllib",),
    ("search",),
    ("analysis",),
    (
        "run",
        "conclusion",
        "plan",
        "plan_lines",
        "timing",
        "training",
        "template",
        "listing",
        "inquiry",
        "output",
        "progress",
        "interruption",
        "chatter",
        "doctor",
        "preflight",
        "reevaluation",
    ),
    ("server", "cli"),
)
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names} | {"": len(LAYERS)}

# "" is biomarl_tune/__init__.py; a place that ends in a dot is a whole subpackage
RAY_AT_HOME = ("rllib.", "search.searcher", "search.schedulers", "search.cluster", "search.tuner")
LIGHT = (
    "",
    "errors",
    "experiment",
    "scalars",
    "colony.",
    "search.spec",
    "search.space",
    "search.study",
    "search.proposals",
    "search.rungs",
    "analysis.trials",
    "analysis.statistics",
    "analysis.plots",
)
# cli: imports wait for their command; experiment: difflib serves an error message only;
# run: engines are imported when they are chosen, what follows a search when it has ended;
# training: the local engine does without Ray; tensorboard: what writes events imports torch
MAY_IMPORT_LATE = {
    "cli": ("",),
    "experiment": ("difflib",),
    "run": (
        "biomarl_tune.search.cluster",
        "biomarl_tune.search.tuner",
        "biomarl_tune.search.serial",
        "biomarl_tune.analysis",
        "biomarl_tune.conclusion",
    ),
    "search.tensorboard": ("biomarl_tune.search.event_file",),
    "training": ("biomarl_tune.search.tuner",),
}


class Import(NamedTuple):
    """One imported module, by its full dotted name."""

    target: str
    line: int
    late: bool  # inside a function
    typing_only: bool  # under `if TYPE_CHECKING`


def test_every_module_belongs_to_a_layer():
    """A new module or subpackage has to be placed in a layer first."""
    unplaced = {name for name in _modules() if name.split(".")[0] not in RANK}

    assert unplaced == set()


def test_imports_point_down():
    """No module imports from a layer above its own."""
    wrong = [
        f"{name}:{found.line} imports {target}"
        for name, found, target in _edges()
        if _rank(target) > _rank(name)
    ]

    assert wrong == []


def test_no_import_cycles():
    """The graph of modules can be sorted; graphlib names the cycle if it cannot."""
    graph = {name: set() for name in _modules()}
    for name, found, target in _edges():
        if not found.typing_only:
            graph[name].add(target)

    order = list(TopologicalSorter(graph).static_order())

    assert set(order) >= set(graph)


def test_ray_stays_in_its_adapters():
    """Only rllib/ and the three Tune adapters of search/ import ray."""
    wrong = [
        f"{name}:{found.line}"
        for name, imports in _modules().items()
        for found in imports
        if found.target.split(".")[0] == "ray" and not _in(name, RAY_AT_HOME)
    ]

    assert wrong == []


@pytest.mark.parametrize("library", ["torch", "ray"])
def test_light_modules_do_not_reach_a_heavy_library(library):
    """What has to start fast imports neither torch nor ray, not even through another module."""
    modules = _modules()
    heavy = {
        name
        for name, imports in modules.items()
        if any(found.target.split(".")[0] == library and not found.late for found in imports)
    }
    reach = _reach()

    wrong = {
        name: sorted(reach[name] & heavy)
        for name in modules
        if _in(name, LIGHT) and reach[name] & heavy
    }

    assert wrong == {}


def test_imports_are_at_the_top():
    """Only cli.py imports inside functions, but for the cases named above."""
    wrong = [
        f"{name}:{found.line} {found.target}"
        for name, imports in _modules().items()
        for found in imports
        if found.late and not found.target.startswith(MAY_IMPORT_LATE.get(name, ()))
    ]

    assert wrong == []


def test_imports_are_absolute():
    """No relative import anywhere."""
    wrong = [
        f"{path.name}:{node.lineno}"
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.level > 0
    ]

    assert wrong == []


def test_reading_imports_tells_the_kinds_apart():
    """The reader of this test sees top, late and typing-only imports for what they are."""
    source = (
        "import ray.tune\n"
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n"
        "    from torch import Tensor\n"
        "def f():\n"
        "    import json\n"
    )

    found = {(item.target, item.late, item.typing_only) for item in _imports(ast.parse(source))}

    assert found == {
        ("ray.tune", False, False),
        ("typing.TYPE_CHECKING", False, False),
        ("torch.Tensor", False, True),
        ("json", True, False),
    }


def _modules() -> dict[str, list[Import]]:
    """Return the imports of every module, by its name inside the package ("" is the package)."""
    modules = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        modules[name] = _imports(ast.parse(path.read_text(), str(path)))
    return modules


def _imports(node: ast.AST, *, late: bool = False, typing_only: bool = False) -> list[Import]:
    found = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            names = [alias.name for alias in child.names]
        elif isinstance(child, ast.ImportFrom):
            names = [f"{child.module}.{alias.name}" for alias in child.names]
        else:
            inside = late or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            guarded = typing_only or _is_typing_guard(child)
            found += _imports(child, late=inside, typing_only=guarded)
            continue
        found += [Import(name, child.lineno, late, typing_only) for name in names]
    return found


def _is_typing_guard(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def _rank(name: str) -> int:
    """Return the layer of a module, or 0: what is in no layer fails a test of its own."""
    return RANK.get(name.partition(".")[0], 0)


def _edges() -> list[tuple[str, Import, str]]:
    """Return (module, import, imported module) for imports inside the package."""
    modules = _modules()
    return [
        (name, found, target)
        for name, imports in modules.items()
        for found in imports
        if (target := _own_module(found.target, modules)) and target != name
    ]


def _own_module(dotted: str, modules: dict[str, list[Import]]) -> str | None:
    """Return the module of ours that "biomarl_tune.a.b.name" comes from."""
    package, _, rest = dotted.partition(".")
    if package != PACKAGE.name:
        return None
    if rest in modules:
        return rest
    return rest.rpartition(".")[0]


def _reach() -> dict[str, set[str]]:
    """Return what of ours is loaded with each module, itself included."""
    direct = {name: set() for name in _modules()}
    for name, found, target in _edges():
        if not (found.late or found.typing_only):
            direct[name].add(target)
    reach: dict[str, set[str]] = {}
    for name in TopologicalSorter(direct).static_order():
        reach[name] = {name}.union(*(reach[target] for target in direct.get(name, ())))
    return reach


def _in(name: str, places: tuple[str, ...]) -> bool:
    return any(
        name == place or (place.endswith(".") and f"{name}.".startswith(place)) for place in places
    )
