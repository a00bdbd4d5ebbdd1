"""The experiment as an RLlib configuration."""

import pytest

from biomarl_tune.errors import InputError
from biomarl_tune.experiment import Experiment
from biomarl_tune.rllib.algorithm import BioPPO, BioPPOConfig


def test_rllibs_names_hold_the_experiments_values():
    """The copies that RLlib reads are those of the experiment."""
    experiment = Experiment().with_settings({"ppo.learning_rate": 0.01, "ppo.gamma": 0.9})
    config = BioPPOConfig.from_experiment(experiment)
    assert (config.lr, config.gamma, config.num_env_runners) == (0.01, 0.9, 0)
    assert config.algo_class is BioPPO
    config.validate()


def test_a_plain_dict_is_taken_over(tmp_path):
    """Tune hands over plain dicts and keys of its own."""
    tree = {
        "experiment": {"env": {"num_agents": 5}},
        "trial": {"number": 2, "directory": str(tmp_path), "max_iterations": 3},
        "__trial_info__": None,
    }
    config = BioPPOConfig().update_from_dict(tree)
    assert config.experiment.env.num_agents == config.env_config["num_agents"] == 5
    assert config.trial.directory == tmp_path


def test_a_setting_that_does_not_exist_is_refused():
    """The error is the experiment's own."""
    with pytest.raises(InputError, match=r"env\.num_agent: there is no such setting"):
        BioPPOConfig().update_from_dict({"experiment": {"env": {"num_agent": 5}}})


def test_a_copy_that_was_changed_is_refused():
    """Settings are changed in the experiment, so that the checkpoint tells the truth."""
    config = BioPPOConfig.from_experiment(Experiment()).training(lr=0.5)
    with pytest.raises(InputError, match=r"lr: is 0\.5, but the experiment says 0\.0003"):
        config.validate()


def test_learners_in_other_processes_are_refused():
    """The learner shares its memory with the sampler."""
    config = BioPPOConfig.from_experiment(Experiment()).learners(num_learners=1)
    with pytest.raises(InputError, match="num_learners: must be 0, got 1"):
        config.validate()


@pytest.mark.parametrize(("runners", "cpus"), [(0, 1), (1, 1), (2, 2), (3, 3)])
def test_a_trial_asks_for_as_many_cpus_as_work_at_a_time(runners, cpus):
    """Sampling and learning take turns, so the trial's own process shares one with a runner."""
    request = BioPPO.default_resource_request({"experiment": {"ppo": {"num_env_runners": runners}}})
    assert request.required_resources["CPU"] == cpus
    assert len(request.bundles) >= 1 + runners
