"""What a search shows beside its verdict: a Pareto front, and whether early stopping was right."""

from __future__ import annotations

from biomarl_tune.analysis.audit import audit_lines
from biomarl_tune.analysis.pareto import front_lines
from biomarl_tune.analysis.trials import metrics_table, trials_table
from biomarl_tune.search.study import Study


def remarks(study: Study) -> list[str]:
    """Return in words what two objectives or an audit of the rungs have brought; else nothing."""
    spec = study.spec
    if len(spec.objective) == 1 and not spec.stopping.audit:
        return []
    trials, metrics = trials_table(study), metrics_table(study)
    return [
        *front_lines(trials, spec.objective),
        *audit_lines(trials, metrics, spec.stopping, spec.objective[0]),
    ]
