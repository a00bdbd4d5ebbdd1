"""Pictures of several searches show what their tables hold."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from biomarl_tune.analysis.across import best_so_far, held_out_of_runs


@pytest.fixture
def trials():
    """Three complete trials, one stopped early and one failed, in no order."""
    return pd.DataFrame(
        {
            "number": [1, 0, 2, 3, 4],
            "state": ["PRUNED", "COMPLETE", "COMPLETE", "FAILED", "COMPLETE"],
            "value": [99.0, 10.0, 30.0, np.nan, 20.0],
            "cpu_seconds": [1.0, 5.0, 5.0, np.nan, 5.0],
        }
    )


@pytest.mark.parametrize(("mode", "course"), [("max", [10, 10, 30, 30, 30]), ("min", [10] * 5)])
def test_the_line_is_the_best_complete_trial_until_then(trials, mode, course):
    """A value of a trial that was stopped early does not count, its cost does."""
    (axes,) = best_so_far({"a": trials}, mode=mode).axes

    (line,) = axes.lines
    assert line.get_xdata().tolist() == [5.0, 6.0, 11.0, 11.0, 16.0]
    assert line.get_ydata().tolist() == course


def test_every_search_has_a_line_of_its_name(trials):
    """Also more of them than there are colours."""
    figure = best_so_far({str(n): trials for n in range(7)})

    assert [text.get_text() for text in figure.legends[0].get_texts()] == list("0123456")


def test_rows_are_named_by_search_and_trial():
    """Bounds that are infinite leave the mark without a bar."""
    rows = [("a", 3, 5.0, 4.0, 7.0), ("a", -1, 3.0, -np.inf, np.inf), ("b", 0, 6.0, 5.0, 7.0)]
    summary = pd.DataFrame(rows, columns=["run", "number", "estimate", "low", "high"])

    (axes,) = held_out_of_runs(summary).axes

    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "a: trial 3",
        "a: defaults",
        "b: trial 0",
    ]
    bars = [container.lines[2][0].get_segments()[0][:, 0].tolist() for container in axes.containers]
    assert bars == [[4.0, 7.0], [3.0, 3.0], [5.0, 7.0]]
