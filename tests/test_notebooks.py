"""The notebook runs from its first cell to its last."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "analysis.ipynb"


def test_it_is_kept_without_outputs():
    """So that a change of it can be read."""
    cells = nbformat.read(NOTEBOOK, as_version=4).cells

    assert not any(cell.get("outputs") for cell in cells)


@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
@pytest.mark.parametrize("which", ["the example", "a new run"])
def test_it_runs_and_shows_curves_settings_intervals_and_the_verdict(which, small_run):
    """On the example run, and on one just made."""
    book = nbformat.read(NOTEBOOK, as_version=4)
    if which == "a new run":
        for cell in book.cells:
            cell.source = cell.source.replace("../results/example", str(small_run.directory))

    NotebookClient(book, timeout=60, resources={"metadata": {"path": NOTEBOOK.parent}}).execute()

    outputs = [output for cell in book.cells for output in cell.get("outputs", ())]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    searched = 4 if which == "the example" else 2
    assert len(pictures) == 1 + searched + 1
    assert "held-out seeds" in outputs[-1].text
