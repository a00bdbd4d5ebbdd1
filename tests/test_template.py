"""Experiment files: written with every setting explained, and read back."""

from __future__ import annotations

import pytest

from biomarl_tune.errors import InputError
from biomarl_tune.experiment import Experiment, setting_fields
from biomarl_tune.template import ORIGINAL, PROFILES, load_experiment, render


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_reads_back_as_it_was_written(profile, tmp_path):
    """Every setting of it."""
    file = tmp_path / "experiment.yaml"
    file.write_text(render(profile))

    assert load_experiment(file) == Experiment().with_settings(PROFILES[profile])


def test_the_original_profile_holds_the_original_values():
    """Those of the system that this one follows, under today's names."""
    flat = Experiment().with_settings(ORIGINAL).flat()

    assert (
        flat.items()
        >= {
            "env.num_agents": 30,
            "env.grid_size": (4, 3, 3),
            "env.max_episode_steps": 500,
            "env.communication_range": 2.0,
            "env.pheromone_decay": 0.95,
            "model.neural_plasticity_rate": 0.1,
            "model.hidden_dim": 256,
            "ppo.learning_rate": 3e-4,
            "ppo.num_env_runners": 4,
            "ppo.train_batch_size": 4000,
        }.items()
    )


@pytest.mark.parametrize("name", setting_fields())
def test_every_setting_has_a_line_with_its_meaning_unit_and_range(name):
    """Numbers as people write them; a switch has neither unit nor range."""
    field = setting_fields()[name]
    key = name.rpartition(".")[2]

    (line,) = (text for text in render().splitlines() if text.strip().startswith(f"{key}: "))

    assert field.description in line
    assert field.json_schema_extra["unit"] in line
    bounded = any(hasattr(bound, sign) for bound in field.metadata for sign in ("ge", "gt", "le"))
    assert bounded == ("(>" in line or "(<" in line)
    assert "e+" not in line


def test_an_unknown_profile_is_refused():
    """Those that there are are named."""
    with pytest.raises(InputError, match="no profile 'x'; use default or original"):
        render("x")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("env: {num_agnts: 3}", "env.num_agnts: there is no such setting"),
        ("env: {num_agents: 0}", "env.num_agents: "),
        ("- 1", "must be a mapping"),
        ("env: [", "is not valid YAML"),
    ],
)
def test_a_bad_experiment_file_is_refused_by_its_name(tmp_path, text, message):
    """In one line."""
    file = tmp_path / "bad.yaml"
    file.write_text(text)

    with pytest.raises(InputError) as refused:
        load_experiment(file)

    assert str(refused.value).startswith(str(file))
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
