"""Find good settings for a bio-inspired multi-agent learner, and prove that they are good."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from biomarl_tune.analysis.evaluation import evaluate
    from biomarl_tune.analysis.trials import load_evaluation, load_metrics, load_trials
    from biomarl_tune.experiment import Experiment
    from biomarl_tune.run import Search
    from biomarl_tune.training import train

# idle OpenMP threads sleep: spinning ones made a busy machine train and replay ten times slower;
# torch reads it when it is loaded
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__all__ = [
    "Experiment",
    "Search",
    "evaluate",
    "load_evaluation",
    "load_metrics",
    "load_trials",
    "train",
]

_HOMES = {
    "Experiment": "biomarl_tune.experiment",
    "Search": "biomarl_tune.run",
    "evaluate": "biomarl_tune.analysis.evaluation",
    "load_evaluation": "biomarl_tune.analysis.trials",
    "load_metrics": "biomarl_tune.analysis.trials",
    "load_trials": "biomarl_tune.analysis.trials",
    "train": "biomarl_tune.training",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that the command line starts at once."""
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return sorted(__all__)
