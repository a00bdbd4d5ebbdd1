"""Our table of reports, beside Optuna's tables in the same database."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from optuna.storages._rdb.models import TrialIntermediateValueModel

from biomarl_tune.search.trial import Report

REPORTS = sa.Table(
    "reports",
    sa.MetaData(),
    sa.Column("sequence", sa.Integer, primary_key=True),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("seed", sa.Integer, nullable=False),
    sa.Column("iteration", sa.Integer, nullable=False),
    sa.Column("seconds", sa.Float, nullable=False),
    sa.Column("cpu_seconds", sa.Float, nullable=False),
    sa.Column("checkpoint", sa.Text, nullable=False),
    sa.Column("checkpoint_sha256", sa.Text, nullable=False),
    sa.Column("scalars", sa.Text, nullable=False),  # JSON; null stands for not finite
    sa.UniqueConstraint("number", "seed", "iteration"),
    sqlite_autoincrement=True,  # a sequence number is never given out again
)

_VALUES = TrialIntermediateValueModel.__table__
_FINITE = TrialIntermediateValueModel.TrialIntermediateValueType.FINITE

# made once: putting a statement together takes longer than running it
_INSERT_REPORT, _INSERT_VALUE = sa.insert(REPORTS), sa.insert(_VALUES)
_DELETE_REPORTS = sa.delete(REPORTS).where(
    REPORTS.c.number == sa.bindparam("of_number"),
    REPORTS.c.seed == sa.bindparam("of_seed"),
    REPORTS.c.iteration >= sa.bindparam("first"),
)
_DELETE_VALUES = sa.delete(_VALUES).where(
    _VALUES.c.trial_id == sa.bindparam("of_trial"), _VALUES.c.step >= sa.bindparam("first")
)


def insert_report(engine: sa.Engine, report: Report, trial_id: int, value: float) -> int:
    """Record a report and, for seed 0, its objective as Optuna's intermediate value, at once.

    What was recorded for this iteration and later ones of the same trial and seed is replaced.

    Args:
        engine: of the database.
        report: its sequence is not looked at.
        trial_id: Optuna's own number of the trial.
        value: the objective, finite.

    Returns:
        The report's sequence number.
    """
    row = asdict(report)
    del row["sequence"]
    row["scalars"] = json.dumps(
        {name: number if math.isfinite(number) else None for name, number in report.scalars.items()}
    )
    step = {"trial_id": trial_id, "step": report.iteration}
    stored = {"intermediate_value": value, "intermediate_value_type": _FINITE}
    with engine.begin() as connection:
        _delete(connection, report.number, report.seed, trial_id, report.iteration)
        result = connection.execute(_INSERT_REPORT, row)
        if report.seed == 0:
            connection.execute(_INSERT_VALUE, {**step, **stored})
    (sequence,) = result.inserted_primary_key or (0,)
    return int(sequence)


def delete_reports(engine: sa.Engine, number: int, seed: int, trial_id: int, *, first: int) -> None:
    """Delete the reports of a trial and seed from an iteration on."""
    with engine.begin() as connection:
        _delete(connection, number, seed, trial_id, first)


def read_reports(engine: sa.Engine, number: int | None = None) -> list[Report]:
    """Return the reports of a trial, by default of all, in the order of their recording."""
    query = sa.select(REPORTS).order_by(REPORTS.c.sequence)
    if number is not None:
        query = query.where(REPORTS.c.number == number)
    with engine.connect() as connection:
        return [_report(dict(row)) for row in connection.execute(query).mappings()]


def _delete(connection: sa.Connection, number: int, seed: int, trial_id: int, first: int) -> None:
    which = {"of_number": number, "of_seed": seed, "first": first}
    connection.execute(_DELETE_REPORTS, which)
    if seed == 0:
        connection.execute(_DELETE_VALUES, {"of_trial": trial_id, "first": first})


def _report(row: dict[str, Any]) -> Report:
    scalars = {
        name: math.nan if number is None else float(number)
        for name, number in json.loads(row.pop("scalars")).items()
    }
    return Report(**row, scalars=scalars)
