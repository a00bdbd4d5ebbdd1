"""A trial with several training seeds, in RLlib's process."""

import pytest

from biomarl_tune.ppo.trial import Trial
from biomarl_tune.rllib.algorithm import BioPPO
from biomarl_tune.search.serial import begin_trial

pytestmark = pytest.mark.ray

COMPARED = ("seed", "iteration", "episode_return_mean", "agent_steps", "entropy", "kl")


def _config(experiment, directory, **more):
    trial = Trial(
        number=0,
        directory=directory,
        max_iterations=2,
        checkpoint_iterations=(1,),
        stages=((1, 1), (2, 2)),
        **more,
    )
    return {"experiment": experiment.model_dump(), "trial": trial.model_dump()}


def _pick(report):
    return tuple(report[name] for name in COMPARED)


@pytest.mark.parametrize("runners", [0, 1])
def test_seeds_take_turns_as_in_the_local_engine(ray_session, small, tmp_path, runners):
    """Seed 0 to the rung; on to the end from its checkpoint; then seed 1, with equal numbers."""
    experiment = small.with_settings({"ppo.num_env_runners": runners})
    local = begin_trial(_config(experiment, tmp_path / "local"))
    algorithm = BioPPO(_config(experiment, tmp_path / "ray"))
    try:
        found = [algorithm.step() for _ in range(4)]
    finally:
        algorithm.stop()

    assert [(r["seed"], r["iteration"]) for r in found] == [(0, 1), (0, 2), (1, 1), (1, 2)]
    for report in found:
        assert _pick(report) == pytest.approx(_pick(local.step()), abs=1e-4)


def test_a_new_process_takes_up_every_seed(ray_session, small, tmp_path):
    """What each left behind is reported again; then the seed whose turn it is goes on."""
    config = _config(small, tmp_path)
    config["trial"]["checkpoint_seconds"] = 0.0
    first = BioPPO(config)
    expected = [first.step() for _ in range(3)]
    first.stop()

    second = BioPPO(config)
    again, also, last = (second.step() for _ in range(3))
    second.stop()

    assert _pick(again) == pytest.approx(_pick(expected[1]))
    assert _pick(also) == pytest.approx(_pick(expected[2]))
    assert again["again"]
    assert also["again"]
    assert (last["seed"], last["iteration"], "again" in last) == (1, 2, False)
