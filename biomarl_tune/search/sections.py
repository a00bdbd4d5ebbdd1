"""The parts of a search space file beside the settings: objective, sampling, stopping and so on."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from biomarl_tune.scalars import SCALARS
from biomarl_tune.search.refusal import nearest
from biomarl_tune.search.yaml_file import shown

METRICS = (*SCALARS, "seconds", "cpu_seconds")


class Section(BaseModel):
    """A frozen part of a search space that refuses unknown keys and loose types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Objective(Section):
    """A scalar to make large or small."""

    metric: str = "episode_return_mean"
    mode: Literal["max", "min"] = "max"

    @field_validator("metric")
    @classmethod
    def _is_reported(cls, metric: str) -> str:
        if metric not in METRICS:
            msg = f"there is no such metric, got {shown(metric)}{nearest(metric, METRICS)}"
            raise ValueError(msg)
        return metric


class Sampling(Section):
    """How settings are proposed: by what, how many, how many at once, and which ones first."""

    sampler: Literal["tpe", "random", "gp", "cmaes"] = "tpe"
    trials: int = Field(24, ge=1, le=1_000_000)
    seeds_per_trial: int = Field(1, ge=1, le=100)  # at the end; the rungs begin with fewer
    concurrency: Literal["auto"] | int = "auto"
    start_with: tuple[dict[str, Any], ...] = ()

    @field_validator("concurrency", mode="before")
    @classmethod
    def _auto_or_positive(cls, value: Any) -> Any:
        whole = isinstance(value, int) and not isinstance(value, bool)
        if value != "auto" and not (whole and 1 <= value <= 10_000):
            msg = f"must be auto or a whole number from 1 to 10,000, got {shown(value)}"
            raise ValueError(msg)
        return value


class Stopping(Section):
    """When a trial ends: after so many iterations, or earlier where others did better.

    An iteration that takes longer than `iteration_seconds` has hung, and its trial has failed.
    """

    scheduler: Literal["asha", "median", "none"] = "asha"
    max_iterations: int = Field(40, ge=1, le=1_000_000)
    grace_iterations: int = Field(5, ge=1)
    reduction: int = Field(3, ge=2, le=1000)
    audit: float = Field(0.0, ge=0, le=1)  # share of the trials ASHA condemns that run on
    iteration_seconds: float = Field(1800, gt=0, le=1_000_000)


class Budget(Section):
    """The wall time after which no trial goes on; without it, trials alone count."""

    minutes: float | None = Field(None, gt=0, le=1_000_000)


class Evaluation(Section):
    """How the best trials are replayed on held-out seeds."""

    top: int = Field(3, ge=1, le=10_000)
    seeds: int = Field(10, ge=1, le=100_000)
    episodes_per_seed: int = Field(3, ge=1, le=100_000)
