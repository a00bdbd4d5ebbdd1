"""The settings of one training run: the only home of names, defaults, ranges and units."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from biomarl_tune.errors import InputError


class Settings(BaseModel):
    """A frozen group of settings that refuses unknown keys, infinities and bools for numbers."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True
    )

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_bool_for_number(cls, value: Any, info: Any) -> Any:
        annotation = cls.model_fields[info.field_name].annotation
        parts = value if isinstance(value, (list, tuple)) else [value]
        numeric = annotation in {int, float, tuple[int, int, int]}
        if numeric and any(isinstance(part, bool) for part in parts):
            msg = f"must be a number, got {value}"
            raise ValueError(msg)
        return value


def _setting(default: Any, meaning: str, unit: str = "", **bounds: Any) -> Any:
    return Field(default, description=meaning, json_schema_extra={"unit": unit}, **bounds)


class EnvSettings(Settings):
    """The world: lattice, food, pheromone, rewards."""

    num_agents: int = _setting(30, "agents in a colony", "agents", ge=1, le=100_000)
    grid_size: tuple[int, int, int] = _setting((4, 3, 3), "cells along x, y and z", "cells")
    max_episode_steps: int = _setting(500, "length of an episode", "steps", ge=2, le=1_000_000)
    communication_range: float = _setting(
        2.0, "agents at most this far apart (Euclidean) are neighbours", "cells", ge=0, le=100
    )
    pheromone_decay: float = _setting(
        0.95, "share of the pheromone that is left after a step", "per step", ge=0, le=1
    )
    carrier_deposit: float = _setting(
        1.0, "pheromone laid by an agent that carries food", "per step", ge=0, le=1000
    )
    visit_deposit: float = _setting(
        0.0, "pheromone laid by every agent where it stands", "per step", ge=0, le=1000
    )
    pheromone_diffusion: float = _setting(
        0.0,
        "share of a cell's pheromone that spreads to its face neighbours",
        "per step",
        ge=0,
        le=1,
    )
    food_patches: int = _setting(1, "food patches in the world at a time", "patches", ge=1, le=1000)
    patch_units: int = _setting(
        120,
        "food in a patch before it is exhausted and reappears elsewhere",
        "units",
        ge=1,
        le=1_000_000_000,
    )
    delivery_reward: float = _setting(1.0, "reward for unloading food in the nest", "per delivery")
    pickup_reward: float = _setting(0.1, "reward for loading food at a patch", "per pickup")
    step_reward: float = _setting(-0.002, "reward of every step (a cost)", "per step")
    shared_delivery_reward: float = _setting(
        0.0, "reward that every agent gets for each delivery of its colony", "per delivery"
    )
    breakthrough_window: int = _setting(
        20,
        "steps over which the return is summed to detect a breakthrough",
        "steps",
        ge=1,
        le=10_000,
    )
    breakthrough_threshold: float = _setting(
        2.0,
        "a breakthrough is a windowed return this far above its own running mean",
        "running standard deviations",
        ge=0,
        le=1000,
    )

    @field_validator("grid_size")
    @classmethod
    def _grid_holds_nest_and_food(cls, value: tuple[int, int, int]) -> tuple[int, int, int]:
        cells = value[0] * value[1] * value[2]
        if min(value) < 1 or not 2 <= cells <= 1_000_000:
            msg = f"needs three lengths of at least 1 and 2 to 1,000,000 cells in all, got {value}"
            raise ValueError(msg)
        return value

    @property
    def num_cells(self) -> int:
        """Cells of the lattice (C)."""
        x, y, z = self.grid_size
        return x * y * z


class ModelSettings(Settings):
    """The brain: widths, the plastic memory and the switches of its parts."""

    hidden_dim: int = _setting(256, "width of the hidden layers (H)", "units", ge=2, le=8192)
    neural_plasticity_rate: float = _setting(
        0.1,
        "eta: how much of the fast-weight memory is rewritten in a step",
        "per step",
        ge=0,
        le=1,
    )
    pheromone_attention: bool = _setting(
        True, "attend to the pheromone of the seven reachable cells"
    )
    plasticity: bool = _setting(True, "carry a fast-weight memory that rewires while agents live")
    messages: bool = _setting(True, "exchange messages with neighbours")
    memory_dim: int = _setting(
        16, "rows and columns of the fast-weight memory", "units", ge=1, le=512
    )
    message_dim: int = _setting(16, "numbers in a message", "units", ge=1, le=512)
    attention_dim: int = _setting(8, "width of the pheromone attention", "units", ge=1, le=512)


class PPOSettings(Settings):
    """Proximal policy optimisation (Schulman et al. 2017) and the bio losses."""

    learning_rate: float = _setting(3e-4, "step size of Adam", "", gt=0, le=1)
    train_batch_size: int = _setting(
        30_000, "agent steps sampled for one iteration", "agent steps", ge=1, le=100_000_000
    )
    minibatch_size: int = _setting(
        1_500, "agent steps in one gradient step", "agent steps", ge=1, le=100_000_000
    )
    rollout_steps: int = _setting(
        25, "consecutive steps (T) of each world in a batch", "steps", ge=1, le=10_000
    )
    num_epochs: int = _setting(4, "passes over a batch", "passes", ge=1, le=100)
    num_env_runners: int = Field(
        0,
        description="sampling processes beside the trial's own; 0 samples in the trial's process",
        json_schema_extra={"unit": "processes"},
        ge=0,
        le=1000,
        validation_alias=AliasChoices("num_env_runners", "num_rollout_workers"),
    )
    overlap_sampling: bool = _setting(
        False,
        "env runners draw the next batch while the last is learned from; the brain that acts is "
        "then one update older. Without env runners nothing changes",
        "",
    )
    gamma: float = _setting(0.98, "discount", "per step", ge=0, le=1)
    gae_lambda: float = _setting(0.95, "lambda of generalised advantage estimation", "", ge=0, le=1)
    clip: float = _setting(0.2, "clip range of the probability ratio", "", gt=0, le=10)
    value_coefficient: float = _setting(0.5, "weight of the value loss", "", ge=0)
    entropy_coefficient: float = _setting(0.01, "weight of the entropy bonus", "", ge=0)
    max_grad_norm: float = _setting(0.5, "gradients are scaled down to this norm", "", gt=0)
    detector_coefficient: float = _setting(
        0.01, "weight of the breakthrough detector's loss", "", ge=0
    )
    detector_horizon: int = _setting(
        10, "steps ahead that the breakthrough detector predicts", "steps", ge=1, le=10_000
    )
    plasticity_coefficient: float = _setting(
        0.0, "weight of the cost of writing to the memory", "", ge=0
    )
    message_coefficient: float = _setting(0.0, "weight of the cost of loud messages", "", ge=0)
    attention_coefficient: float = _setting(
        0.0, "weight of the cost of spread-out pheromone attention", "", ge=0
    )
    precision: Literal["auto", "fp32", "bf16"] = _setting(
        "auto", "numbers of the hidden layers while learning; auto: bf16 where it is faster", ""
    )


class Experiment(Settings):
    """Everything that defines one training run.

    Example:
        >>> experiment = Experiment().with_settings({"env.pheromone_decay": 0.6})
        >>> experiment.env.pheromone_decay
        0.6
    """

    env: EnvSettings = EnvSettings()
    model: ModelSettings = ModelSettings()
    ppo: PPOSettings = PPOSettings()
    seed: int = _setting(0, "seed of worlds, weights and action sampling", "", ge=0, le=2**31 - 1)

    @model_validator(mode="after")
    def _minibatch_fits_batch(self) -> Experiment:
        if self.ppo.minibatch_size > self.ppo.train_batch_size:
            msg = (
                f"ppo.minibatch_size: must be at most ppo.train_batch_size, got "
                f"minibatch_size={self.ppo.minibatch_size} "
                f"train_batch_size={self.ppo.train_batch_size}"
            )
            raise ValueError(msg)
        return self

    @property
    def num_worlds(self) -> int:
        """Worlds (E) stepped side by side, so that E x T x N is about a train batch."""
        per_world = self.ppo.rollout_steps * self.env.num_agents
        return max(1, round(self.ppo.train_batch_size / per_world), self.ppo.num_env_runners)

    @property
    def overlaps(self) -> bool:
        """Whether the next batch is drawn before the last was learned from."""
        return self.ppo.overlap_sampling and self.ppo.num_env_runners > 0

    def flat(self) -> dict[str, Any]:
        """Return every setting under its dotted name, e.g. ``env.pheromone_decay``."""
        groups = {"env": self.env, "model": self.model, "ppo": self.ppo}
        flat = {
            f"{group}.{name}": getattr(settings, name)
            for group, settings in groups.items()
            for name in type(settings).model_fields
        }
        return {**flat, "seed": self.seed}

    def with_settings(self, settings: dict[str, Any]) -> Experiment:
        """Return a copy with some settings replaced, validated again.

        Args:
            settings: values under dotted names.

        Raises:
            InputError: a name that is no setting, or a value that it does not take.
        """
        tree = self.model_dump()
        for name, value in settings.items():
            group, key = _group_and_key(canonical_name(name))
            (tree[group] if group else tree)[key] = value
        return experiment_from(tree)


def experiment_from(tree: dict[str, Any]) -> Experiment:
    """Validate a nested mapping of settings.

    Raises:
        InputError: naming the first offending setting, its value and what would do.
    """
    try:
        return Experiment.model_validate(tree)
    except ValidationError as error:
        raise InputError(describe(error)) from None


def describe(error: ValidationError) -> str:
    """Turn the first of pydantic's complaints into one line: the thing, the value, the want."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    want = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        want = "there is no such setting"
    told = first["type"] == "missing" or (first["type"] == "value_error" and "got" in want)
    got = "" if told else f", got {first['input']!r}"
    return f"{where}: {want}{got}" if where else f"{want}{got}"


_ALIASES = {"ppo.num_rollout_workers": "ppo.num_env_runners"}


def canonical_name(name: str) -> str:
    """Return the dotted name under which a setting is kept.

    Raises:
        InputError: there is no such setting; the nearest name is proposed.
    """
    name = _ALIASES.get(name, name)
    known = setting_fields()
    if name in known:
        return name
    import difflib  # noqa: PLC0415 - only for the error message

    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    msg = f"{name}: there is no such setting{hint}"
    raise InputError(msg)


@cache
def setting_fields() -> dict[str, Any]:
    """Return pydantic's field of every setting under its dotted name."""
    groups: dict[str, type[Settings]] = {
        "env": EnvSettings,
        "model": ModelSettings,
        "ppo": PPOSettings,
    }
    fields: dict[str, Any] = {
        f"{group}.{name}": field
        for group, settings in groups.items()
        for name, field in settings.model_fields.items()
    }
    return {**fields, "seed": Experiment.model_fields["seed"]}


def _group_and_key(name: str) -> tuple[str, str]:
    group, _, key = name.rpartition(".")
    return group, key
