"""The report: whole, self-contained, and honest about what was not done."""

from __future__ import annotations

import shutil

import pandas as pd
import pytest

from biomarl_tune.analysis.decisions import decision_line, rung_table
from biomarl_tune.analysis.report import write_report
from biomarl_tune.analysis.trials import load_metrics, load_trials
from biomarl_tune.analysis.verdict import verdict_lines, verdict_of
from biomarl_tune.search.study import Study

SECTIONS = {
    "verdict", "evaluation", "learning", "space", "sensitivity", "ablation", "robustness",
    "stopping", "cost", "decisions", "spec",
}  # fmt: skip


@pytest.fixture
def copy(finished, tmp_path):
    """A copy of the finished search that may be written to."""
    return shutil.copytree(finished, tmp_path / "copy")


def test_every_run_ends_with_a_report(finished, pages):
    """The run has written it; it holds all sections, the verdict's words and every trial."""
    page = pages.assert_self_contained((finished / "report.html").read_text())

    with Study.open(finished, read_only=True) as study:
        lines = verdict_lines(verdict_of(study, pd.read_parquet(finished / "evaluation.parquet")))
    assert page.ids >= SECTIONS
    assert all(" ".join(line.split()) in page.text for line in lines)
    assert all(f"trial {number}: proposed by" in page.text for number in range(14))
    assert page.elements.count("img") >= 8
    assert "name: small" in page.text
    assert "optuna" in page.text


def test_pictures_have_words(finished):
    """Each picture is inside the page, with its caption as the text for those who cannot see it."""
    text = (finished / "report.html").read_text()

    assert text.count("<img ") == text.count('src="data:image/svg+xml;base64,')
    assert 'alt=""' not in text
    assert text.count("<figcaption>") == text.count("<img ")


def test_search_without_evaluation_has_a_report(copy, pages):
    """What is not there is said, with the command that brings it."""
    (copy / "evaluation.parquet").unlink()

    with Study.open(copy, read_only=True) as study:
        path = write_report(study)

    page = pages.assert_self_contained(path.read_text())
    assert "There is no verdict yet" in page.text
    assert "biomarl-tune ablate copy" in page.text
    assert not list(copy.glob(".report*"))


def test_report_in_a_browser(finished, pages, tmp_path):
    """A headless browser shows it without a word on the console."""
    if not pages.BROWSER:
        pytest.skip("no Chromium here")

    assert pages.console_messages(finished / "report.html", tmp_path) == []


def test_decision_line_tells_why_and_where():
    """Proposed by whom, ended where and why, with the error's last line."""
    trial = {
        "number": 4, "state": "FAILED", "value": float("nan"), "iterations": 3, "why": "tpe",
        "stopped_because": "crash", "error": "Traceback\nValueError: no",
    }  # fmt: skip

    line = decision_line(trial)

    assert line == "trial 4: proposed by tpe; failed at iteration 3: crash (ValueError: no)"


def test_rungs_count_who_came_and_who_went_on(finished):
    """All trials arrive at the first rung; who is not stopped goes on, and steps are saved."""
    with Study.open(finished, read_only=True) as study:
        spec = study.spec
    trials = load_trials(finished)

    table = rung_table(spec, trials, load_metrics(finished)).set_index("iteration")

    assert list(table.index) == [2, 4]
    assert table.loc[2, "arrived"] == 14
    assert table.loc[2, "went_on"] == table.loc[4, "arrived"]
    assert table["stopped"].sum() == (trials["state"] == "PRUNED").sum()
    assert table.loc[2, "saved"] == 3 * trials.loc[trials["iterations"] == 2, "agent_steps"].sum()
