from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from biomarl_tune.analysis.audit import (
    audit_lines,
    late_bloomers,
    rung_correlations,
    weighted_spearman,
)
from biomarl_tune.search.sections import Objective, Stopping

STOPPING = Stopping(max_iterations=4, grace_iterations=1, reduction=2, audit=0.5)
OBJECTIVE = Objective()


def _tables(curves, audited):
    """Return the tables of complete trials with these curves, condemned at these iterations."""
    trials = pd.DataFrame(
        {
            "number": range(len(curves)),
            "state": "COMPLETE",
            "value": [curve[-1] for curve in curves],
            "audited": audited,
            "stopped_because": "",
        }
    )
    rows = [
        (number, 0, step, float(value))
        for number, curve in enumerate(curves)
        for step, value in enumerate(curve, start=1)
    ]
    metrics = pd.DataFrame(rows, columns=["number", "seed", "iteration", "episode_return_mean"])
    return trials, metrics


# trials 0 to 3 were kept; 4 was condemned at 1 and blooms at 3; 5 was rightly condemned at 2
CURVES = [(5, 6, 7, 8), (4, 5, 6, 7), (3, 4, 5, 6), (6, 7, 4, 4), (1, 3, 9, 9), (2, 1, 1, 1)]
AUDITED = [0, 0, 0, 0, 1, 2]


def test_the_audited_trials_are_judged_by_their_end():
    """Trial 4 ends above all of the four kept ones; at iteration 3 the rule had kept it."""
    found = late_bloomers(*_tables(CURVES, AUDITED), STOPPING, OBJECTIVE)

    bloomer, other = found.to_dict("records")
    assert bloomer == {
        "number": 4,
        "condemned_at": 1,
        "value_then": 1.0,
        "value": 9.0,
        "better_than": 1.0,
        "late_bloomer": True,
        "grace": 3.0,
    }
    assert (other["number"], other["condemned_at"], other["late_bloomer"]) == (5, 2, False)
    assert math.isnan(other["grace"])


def test_small_values_can_be_the_good_ones():
    """With mode min the same curves, turned over, tell the same."""
    trials, metrics = _tables([tuple(-v for v in curve) for curve in CURVES], AUDITED)

    found = late_bloomers(trials, metrics, STOPPING, Objective(mode="min"))

    assert found["late_bloomer"].tolist() == [True, False]
    assert found.loc[0, ["value_then", "value", "grace"]].tolist() == [-1.0, -9.0, 3.0]


def test_rungs_are_compared_with_the_end():
    """One row a rung; the second rung foretells the end better than the first."""
    found = rung_correlations(*_tables(CURVES, AUDITED), STOPPING, OBJECTIVE)

    assert found[["rung", "trials", "audited"]].to_numpy().tolist() == [[1, 6, 2], [2, 6, 2]]
    assert found["correlation"].is_monotonic_increasing
    assert (found["low"] < found["correlation"]).all()


def test_few_trials_have_no_correlation():
    """Four trials that reached the end are too few."""
    found = rung_correlations(*_tables(CURVES[:4], [0] * 4), STOPPING, OBJECTIVE)

    assert found["correlation"].isna().all()


def test_weights_stand_for_repeated_trials():
    """A pair of weight 3 counts as three equal pairs do in the usual coefficient."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 8))
    weight = np.array([1.0, 3.0, 1.0, 2.0, 1.0, 1.0, 3.0, 1.0])
    repeats = weight.astype(int)

    expected = spearmanr(np.repeat(x, repeats), np.repeat(y, repeats)).statistic

    assert weighted_spearman(x, y, weight) == pytest.approx(expected)


def test_the_audit_is_told_in_words():
    """What was lost is scaled up from the share that was looked at."""
    lines = audit_lines(*_tables(CURVES, AUDITED), STOPPING, OBJECTIVE)

    assert lines[0].startswith("ASHA audit: of 2 condemned trials, 2 ran on to the end")
    assert lines[3] == (
        "  late bloomer: trial 4, condemned at iteration 1 with 1, ended at 9, "
        "better than 100% of those kept"
    )
    assert lines[4] == (
        "  about 2 late bloomers were condemned in all; "
        "a grace of 3 iterations would have kept those audited"
    )
    assert lines[5] == (
        "  trial 4 has the best value of all, although it was condemned at iteration 1 "
        "and ran on for the audit only"
    )


def test_nothing_is_told_without_an_audit():
    """A search that audits nothing has no lines; one that has drawn none yet says so."""
    trials, metrics = _tables(CURVES[:4], [0] * 4)

    assert audit_lines(trials, metrics, Stopping(), OBJECTIVE) == []
    assert "of 0 condemned trials, 0 ran on" in audit_lines(trials, metrics, STOPPING, OBJECTIVE)[0]


def test_an_empty_search_can_be_audited():
    """Before the first trial has ended, the tables have their columns and no rows."""
    trials, metrics = _tables(CURVES[:1], [0])

    assert late_bloomers(trials[:0], metrics[:0], STOPPING, OBJECTIVE).empty
    assert len(rung_correlations(trials[:0], metrics[:0], STOPPING, OBJECTIVE)) == 2
