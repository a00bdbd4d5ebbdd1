"""The notebooks run from their first cell to their last."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[1] / "notebooks"
NAMES = sorted(file.stem for file in FOLDER.glob("*.ipynb"))

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


def _executed(name, replaced="", by=""):
    """Run a notebook and return its outputs and how many of them are pictures."""
    book = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    for cell in book.cells:
        cell.source = cell.source.replace(replaced, by) if replaced else cell.source
    NotebookClient(book, timeout=120, resources={"metadata": {"path": FOLDER}}).execute()
    outputs = [output for cell in book.cells for output in cell.get("outputs", ())]
    return outputs, sum("image/png" in output.get("data", {}) for output in outputs)


def test_there_are_three():
    """One search, several searches, and the settings."""
    assert NAMES == ["analysis", "compare", "landscape"]


@pytest.mark.parametrize("name", NAMES)
def test_they_are_kept_without_outputs(name):
    """So that a change can be read."""
    cells = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4).cells

    assert not any(cell.get("outputs") for cell in cells)


@pytest.mark.parametrize("which", ["the example", "a new run"])
def test_it_runs_and_shows_curves_settings_intervals_and_the_verdict(which, small_run):
    """On the example run, and on one just made."""
    new = ("../results/example", str(small_run.directory)) if which == "a new run" else ()

    outputs, pictures = _executed("analysis", *new)

    searched = 4 if which == "the example" else 2
    assert pictures == 1 + searched + 1
    assert "held-out seeds" in outputs[-1].text


@pytest.mark.parametrize("which", ["the examples", "an example and a new run"])
def test_several_searches_are_compared(which, small_run):
    """Their courses, their winners on held-out seeds, and a verdict of each."""
    new = ("../results/example-2", str(small_run.directory)) if "new" in which else ()

    outputs, pictures = _executed("compare", *new)

    assert pictures == 2
    assert outputs[-1].text.count("held-out seeds") == 2


def test_the_landscape_shows_every_setting():
    """The designed experiment, importance by two methods, and each setting's average effect."""
    outputs, pictures = _executed("landscape")

    assert pictures == 1 + 2 + 4
    assert "env.pheromone_decay" in outputs[-1].text
