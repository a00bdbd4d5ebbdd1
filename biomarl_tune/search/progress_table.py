"""trials/<number>/progress.csv: the reports of a trial, written when it has ended."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from typing import Any

from biomarl_tune.scalars import SCALARS
from biomarl_tune.search.study import Study

_COLUMNS = ("seed", "iteration", "seconds", "cpu_seconds", "checkpoint")


class ProgressTable:
    """Write each trial's table from the record; an observer of the search.

    Args:
        study: the record.
    """

    def __init__(self, study: Study) -> None:
        self._study = study

    def started(self, number: int, settings: Mapping[str, Any], iteration: int) -> None:
        """Do nothing: the table is written at the end."""

    def reported(self, number: int, report: Mapping[str, Any]) -> None:
        """Do nothing: the record holds the report."""

    def ended(self, number: int, state: str, reason: str) -> None:
        """Write the table of a trial; nothing where it never reported."""
        del state, reason
        reports = self._study.reports(number)
        if not reports:
            return
        folder = self._study.directory.trial(number)
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "progress.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, (*_COLUMNS, *SCALARS))
            writer.writeheader()
            for report in reports:
                row = {name: getattr(report, name) for name in _COLUMNS}
                writer.writerow({**row, **report.scalars})
