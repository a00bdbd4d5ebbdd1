import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba.core import caching

from biomarl_tune.compiled import compiled

PACKAGE = Path(__file__).parents[1] / "biomarl_tune"


def total(numbers):
    """Return the sum of the numbers."""
    found = 0.0
    for number in numbers:
        found += number
    return found


@pytest.mark.parametrize("somewhere", [True, False], ids=["kept", "no place to keep it"])
def test_a_loop_is_compiled(somewhere, monkeypatch):
    """A function answers as its plain form does, whether or not it can be kept on disk."""
    if not somewhere:
        monkeypatch.setattr(caching.CompileResultCacheImpl, "_locator_classes", [])
    fast = compiled(total)

    found = fast(np.array([1.0, 2.5]))

    assert found == total([1.0, 2.5])
    assert fast.signatures


def test_compiled_functions_call_none_of_another_file():
    """What is kept on disk is not compiled anew when a function of another file changes."""
    compiled_in, calls = {}, []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and _is_compiled(node):
                compiled_in[node.name] = path
                inside = [call.func for call in ast.walk(node) if isinstance(call, ast.Call)]
                calls += [(path, ast.unparse(called).rpartition(".")[2]) for called in inside]

    assert len(compiled_in) > 15
    assert [(path, name) for path, name in calls if compiled_in.get(name, path) != path] == []


def _is_compiled(function):
    return {"compiled", "compiled_loosely"} & {ast.unparse(d) for d in function.decorator_list}


def test_kept_functions_are_loaded_without_the_compiler():
    """A process that finds all functions on disk imports nothing that only compiling takes."""
    script = (
        "import sys; from biomarl_tune.ppo.local import compile_ahead; compile_ahead();"
        "print({'numba.np.linalg', 'numba.np.arraymath'} & set(sys.modules))"
    )
    for _ in range(2):  # the first may find nothing yet
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True
        )

    assert (done.stdout.strip(), done.stderr) == ("set()", "")
