"""progress.csv of a trial."""

from __future__ import annotations

import csv

from biomarl_tune.scalars import SCALARS
from biomarl_tune.search.progress_table import ProgressTable


def test_a_trials_table_holds_its_reports_only(study):
    """In the order of recording, with every scalar that was reported."""
    for number in (0, 1):
        study.suggest()
        scalars = dict.fromkeys(SCALARS, 5.0 + number)
        study.report(number, 1, scalars, seconds=2.0, cpu_seconds=1.0, checkpoint="c")

    ProgressTable(study).ended(1, "COMPLETE", "")

    with (study.directory.trial(1) / "progress.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert (
        row.items() >= {"iteration": "1", "seconds": "2.0", "checkpoint": "c", "kl": "6.0"}.items()
    )
    assert not study.directory.trial(0).exists()


def test_a_trial_without_reports_has_no_table(study):
    """Its error says what happened."""
    study.suggest()

    ProgressTable(study).ended(0, "FAILED", "")

    assert not study.directory.trial(0).exists()
