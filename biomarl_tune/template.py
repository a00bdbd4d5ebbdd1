"""Experiment files: every setting as YAML, with its meaning, unit and range."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from biomarl_tune.errors import InputError
from biomarl_tune.experiment import Experiment, experiment_from, setting_fields
from biomarl_tune.search.yaml_file import parse, read_file

ORIGINAL = {"ppo.num_env_runners": 4, "ppo.train_batch_size": 4_000}
PROFILES: dict[str, dict[str, Any]] = {"default": {}, "original": ORIGINAL}


def render(profile: str = "default") -> str:
    """Return an experiment file.

    Args:
        profile: ``default`` for this project's values, ``original`` for those of the original
            system.

    Raises:
        InputError: there is no such profile.
    """
    if profile not in PROFILES:
        msg = f"--profile: there is no profile {profile!r}; use {' or '.join(PROFILES)}"
        raise InputError(msg)
    values = Experiment().with_settings(PROFILES[profile]).flat()
    lines = [
        f"# The {profile} settings. Train them with: biomarl-tune train FILE",
        "# In a search space the same names stand under `experiment:`, or dotted under `space:`.",
        f"seed: {values['seed']}  # {_remark('seed')}",
    ]
    group = ""
    for name, value in values.items():
        if "." not in name:
            continue
        if not name.startswith(f"{group}.") or not group:
            group = name.partition(".")[0]
            lines += ["", f"{group}:"]
        lines.append(f"  {name.partition('.')[2]}: {json.dumps(value)}  # {_remark(name)}")
    return "\n".join(lines) + "\n"


def load_experiment(file: Path) -> Experiment:
    """Read settings from a YAML file as ``biomarl-tune template`` writes it.

    Raises:
        InputError: the file cannot be read, or a setting is unknown or has a wrong value.
    """
    document = parse(read_file(file), str(file))
    if not isinstance(document.tree, dict):
        msg = f"{file}: must be a mapping of env, model and ppo; see biomarl-tune template"
        raise InputError(msg)
    try:
        return experiment_from(document.tree)
    except InputError as error:
        msg = f"{file}: {error}"
        raise InputError(msg) from None


def _remark(name: str) -> str:
    field = setting_fields()[name]
    unit = (field.json_schema_extra or {}).get("unit", "")
    parts = [field.description, f"[{unit}]" if unit else "", _range(field)]
    return " ".join(part for part in parts if part)


def _range(field: Any) -> str:
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    bounds = [
        f"{signs[key]} {getattr(bound, key):,}"
        for bound in field.metadata
        for key in signs
        if hasattr(bound, key)
    ]
    return f"({', '.join(bounds)})" if bounds else ""
