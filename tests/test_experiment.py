import json
import math

import pytest
from pydantic import ValidationError

from biomarl_tune.errors import InputError
from biomarl_tune.experiment import (
    EnvSettings,
    Experiment,
    canonical_name,
    experiment_from,
    setting_fields,
)


def test_names_and_defaults_of_the_original_system():
    """The settings that the original had keep their names and defaults."""
    flat = Experiment().flat()

    original = {
        "env.num_agents": 30,
        "env.grid_size": (4, 3, 3),
        "env.max_episode_steps": 500,
        "env.communication_range": 2.0,
        "env.pheromone_decay": 0.95,
        "model.neural_plasticity_rate": 0.1,
        "model.hidden_dim": 256,
    }
    assert {name: flat[name] for name in original} == original


def test_every_setting_says_what_it_means():
    """Each setting has a meaning, and its unit is known."""
    for name, field in setting_fields().items():
        assert field.description, name
        assert "unit" in field.json_schema_extra, name


def test_flat_names_are_those_of_the_fields():
    """The flat form, the fields and the canonical names are the same set."""
    names = set(Experiment().flat())

    assert names == set(setting_fields())
    assert {canonical_name(name) for name in names} == names


def test_num_rollout_workers_is_read_as_num_env_runners():
    """The original's name is taken in nested, dotted and canonical form."""
    nested = experiment_from({"ppo": {"num_rollout_workers": 2}})
    dotted = Experiment().with_settings({"ppo.num_rollout_workers": 2})

    assert nested.ppo.num_env_runners == dotted.ppo.num_env_runners == 2
    assert canonical_name("ppo.num_rollout_workers") == "ppo.num_env_runners"


def test_with_settings_leaves_the_original_alone():
    """A changed copy is validated anew, and the rest is kept."""
    before = Experiment()

    after = before.with_settings({"env.pheromone_decay": 0.6, "seed": 4})

    assert (after.env.pheromone_decay, after.seed) == (0.6, 4)
    assert before == Experiment()
    assert {**after.flat(), "env.pheromone_decay": 0.95, "seed": 0} == before.flat()


def test_json_comes_back_as_it_was():
    """What a checkpoint stores is read back equal, lattice and booleans included."""
    experiment = Experiment().with_settings({"env.grid_size": (2, 1, 5), "model.messages": False})

    assert Experiment.model_validate_json(experiment.model_dump_json()) == experiment
    assert experiment_from(json.loads(experiment.model_dump_json())) == experiment


def test_settings_are_frozen():
    """A setting cannot be changed in place."""
    with pytest.raises(ValidationError, match="frozen"):
        Experiment().env.num_agents = 3


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"env": {"pheromone_dcay": 0.5}}, "env.pheromone_dcay: there is no such setting, got 0.5"),
        ({"environment": {}}, "environment: there is no such setting"),
        ({"env": {"num_agents": 0}}, "env.num_agents: .*greater than or equal to 1, got 0"),
        ({"env": {"num_agents": True}}, "env.num_agents: must be a number, got True"),
        ({"env": {"grid_size": [True, 3, 3]}}, "env.grid_size: must be a number, got .*True"),
        ({"env": {"grid_size": [1, 1, 1]}}, r"env.grid_size: needs .* got \(1, 1, 1\)"),
        ({"env": {"grid_size": [-2, -1, 3]}}, "env.grid_size: needs three lengths"),
        ({"env": {"grid_size": [4, 3]}}, r"env.grid_size.*"),
        ({"env": {"pheromone_decay": math.nan}}, "env.pheromone_decay: .*finite number, got nan"),
        ({"env": {"delivery_reward": math.inf}}, "env.delivery_reward: .*finite number, got inf"),
        ({"env": {"pheromone_decay": "much"}}, "env.pheromone_decay: .*valid number.* got 'much'"),
        ({"model": {"hidden_dim": 64.5}}, "model.hidden_dim: .*got 64.5"),
        ({"ppo": {"learning_rate": 0}}, "ppo.learning_rate: .*greater than 0, got 0"),
        (
            {"ppo": {"minibatch_size": 101, "train_batch_size": 100}},
            "^ppo.minibatch_size: .* got minibatch_size=101 train_batch_size=100",
        ),
        ({"seed": -1}, "seed: .*got -1"),
    ],
)
def test_bad_values_are_refused_in_one_line(tree, message):
    """The error names the setting, what it got and what would do."""
    with pytest.raises(InputError, match=message) as error:
        experiment_from(tree)
    assert "\n" not in str(error.value)


def test_an_unknown_name_is_answered_with_the_nearest():
    """A typo in a dotted name is refused, and the setting that was meant is proposed."""
    with pytest.raises(InputError, match=r"did you mean env\.pheromone_decay\?"):
        Experiment().with_settings({"env.pheromone_dcay": 0.5})
    with pytest.raises(InputError, match=r"^telepathy: there is no such setting$"):
        canonical_name("telepathy")


@pytest.mark.parametrize(
    ("batch", "steps", "agents", "runners", "worlds"),
    [(300, 10, 3, 0, 10), (310, 10, 3, 0, 10), (1, 10, 3, 0, 1), (30, 10, 3, 4, 4)],
)
def test_num_worlds_by_hand(batch, steps, agents, runners, worlds):
    """Worlds times steps times agents is about a batch, and no runner is without a world."""
    experiment = experiment_from(
        {
            "env": {"num_agents": agents},
            "ppo": {
                "train_batch_size": batch,
                "minibatch_size": 1,
                "rollout_steps": steps,
                "num_env_runners": runners,
            },
        }
    )

    assert experiment.num_worlds == worlds


def test_num_cells_by_hand():
    """The lattice of the original has 36 cells."""
    assert EnvSettings(grid_size=(4, 3, 3)).num_cells == 36
