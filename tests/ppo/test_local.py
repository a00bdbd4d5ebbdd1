import math
import os
import subprocess
import sys

import pytest
import torch

from biomarl_tune.errors import TrialError
from biomarl_tune.ppo.episodes import play
from biomarl_tune.ppo.local import LocalTrainer, finite, new_policy
from biomarl_tune.scalars import SCALARS

CLOCK = {"agent_steps_per_second", "sample_seconds", "learn_seconds", "rss_mb"}


def trained(trainer, iterations):
    """Return the scalars of some iterations but for those that the clock decides."""
    reports = [trainer.train_iteration() for _ in range(iterations)]
    return [{k: v for k, v in report.items() if k not in CLOCK} for report in reports]


def assert_same_weights(ours, theirs):
    """Check that two trainers' brains are bit for bit alike."""
    others = theirs.policy.state_dict()
    for name, weight in ours.policy.state_dict().items():
        assert torch.equal(weight, others[name]), name


def test_a_report_holds_every_scalar(tiny):
    """All scalars are there and finite from the first report, in the documented order."""
    trainer = LocalTrainer(tiny())

    reports = [trainer.train_iteration() for _ in range(3)]

    for report in reports:
        assert list(report) == list(SCALARS)
        assert all(math.isfinite(value) for value in report.values())
    assert [report["agent_steps"] for report in reports] == [150, 300, 450]
    assert reports[0]["rss_mb"] > 10


@pytest.mark.parametrize(
    "settings",
    [
        {"env.num_agents": 1, "ppo.rollout_steps": 1, "ppo.train_batch_size": 1},
        {"env.grid_size": (1, 1, 2), "env.communication_range": 0.0, "ppo.train_batch_size": 21},
        {"ppo.rollout_steps": 7, "ppo.train_batch_size": 21},
        {"model.plasticity": False, "model.messages": False, "model.pheromone_attention": False},
        {"model.neural_plasticity_rate": 1.0, "env.pheromone_decay": 0.0},
        {"model.neural_plasticity_rate": 0.0, "env.pheromone_decay": 1.0},
        {"ppo.plasticity_coefficient": 1, "ppo.message_coefficient": 1},
        {"ppo.attention_coefficient": 1.0, "ppo.detector_coefficient": 0.0},
    ],
)
def test_settings_at_their_edges_train(tiny, settings):
    """One agent, one step, two cells or parts switched off still give finite reports."""
    trainer = LocalTrainer(tiny({"ppo.minibatch_size": 1, **settings}))

    reports = trained(trainer, 3)

    assert all(math.isfinite(value) for report in reports for value in report.values())


def test_the_seed_decides_everything(tiny):
    """The same experiment trains alike whatever torch drew before, another seed differs."""
    torch.manual_seed(1)
    first = LocalTrainer(tiny())
    torch.manual_seed(2)
    second, other = LocalTrainer(tiny()), LocalTrainer(tiny({"seed": 12}))

    assert trained(first, 2) == trained(second, 2)
    assert_same_weights(first, second)
    assert trained(other, 2) != trained(second, 2)


def test_a_new_policy_leaves_torchs_generator_alone(tiny):
    """Weights are drawn aside, so that nobody else's numbers change."""
    torch.manual_seed(1)
    before = torch.get_rng_state()

    new_policy(tiny())

    assert torch.equal(torch.get_rng_state(), before)


def test_state_continues_as_if_uninterrupted(tiny, tmp_path):
    """Weights, optimiser, worlds and shuffling go on where they were, in any number of trainers."""
    trainer = LocalTrainer(tiny())
    trained(trainer, 2)
    trainer.write_state(tmp_path)
    expected = trained(trainer, 3)

    for _ in range(2):
        other = LocalTrainer(tiny())
        other.read_state(tmp_path)
        assert trained(other, 3) == expected
        assert_same_weights(other, trainer)
        assert other.agent_steps == trainer.agent_steps == 750


def test_a_trainer_can_go_back(tiny, tmp_path):
    """A trainer that went on takes up again where it wrote its state."""
    trainer = LocalTrainer(tiny())
    trained(trainer, 1)
    trainer.write_state(tmp_path)
    expected = trained(trainer, 2)

    trainer.read_state(tmp_path)

    assert trained(trainer, 2) == expected


def test_what_is_not_finite_ends_the_trial(tiny):
    """Broken weights are told by the first scalar that is not finite."""
    trainer = LocalTrainer(tiny())
    with torch.no_grad():
        trainer.policy.critic_out.bias.fill_(math.nan)

    with pytest.raises(TrialError, match=r"^policy_loss: not finite, got nan"):
        trainer.train_iteration()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_finite_names_the_scalar(value):
    """The error names the scalar and its value, and finite ones pass."""
    assert finite({"entropy": 1.0}) == {"entropy": 1.0}
    with pytest.raises(TrialError, match=f"^kl: not finite, got {value};"):
        finite({"entropy": 1.0, "kl": value})


@pytest.mark.slow
def test_a_colony_learns_to_deliver(tiny):
    """On a row of four cells the trained colony brings home far more than the untrained one."""
    experiment = tiny(
        {
            "env.num_agents": 4,
            "env.grid_size": (4, 1, 1),
            "env.max_episode_steps": 50,
            "env.patch_units": 1000,
            "model.hidden_dim": 16,
            "ppo.rollout_steps": 25,
            "ppo.train_batch_size": 1600,
            "ppo.minibatch_size": 400,
            "ppo.num_epochs": 4,
            "ppo.learning_rate": 3e-3,
        }
    )
    trainer, seeds = LocalTrainer(experiment), [(99, i) for i in range(20)]
    untrained = play(experiment.env, trainer.policy, seeds).deliveries.mean()

    for _ in range(40):
        trainer.train_iteration()

    assert play(experiment.env, trainer.policy, seeds).deliveries.mean() > 3 * untrained


def test_overlapped_sampling_acts_with_the_brain_before(tiny):
    """The second batch is the one that the untrained brain would have drawn."""
    overlapping = tiny({"ppo.num_env_runners": 1, "ppo.overlap_sampling": True})
    trainer, untrained = LocalTrainer(overlapping), LocalTrainer(overlapping)
    returns = [trainer.train_iteration()["episode_return_mean"] for _ in range(2)]

    drawn = [untrained.sampler.sample()[1].scalars(overlapping.env.max_episode_steps)]
    drawn.append(untrained.sampler.sample()[1].scalars(overlapping.env.max_episode_steps))

    assert returns == [each["episode_return_mean"] for each in drawn]


def test_overlapped_sampling_goes_on_where_it_was(tiny, tmp_path):
    """What was drawn ahead is part of the state."""
    overlapping = tiny({"ppo.num_env_runners": 1, "ppo.overlap_sampling": True})
    trainer, again = LocalTrainer(overlapping), LocalTrainer(overlapping)
    trained(trainer, 2)
    trainer.write_state(tmp_path)
    again.read_state(tmp_path)

    assert trained(again, 2) == trained(trainer, 2)
    assert_same_weights(again, trainer)


def test_overlapping_needs_env_runners(tiny):
    """Without them nothing changes."""
    plain, overlapping = LocalTrainer(tiny()), LocalTrainer(tiny({"ppo.overlap_sampling": True}))

    assert trained(overlapping, 2) == trained(plain, 2)


@pytest.mark.slow
def test_nothing_is_left_to_compile(tmp_path):
    """After compiling ahead a new process trains and plays other settings with what is kept."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    ahead = "from biomarl_tune.ppo.local import compile_ahead; compile_ahead()"
    later = (
        "from biomarl_tune.experiment import Experiment\n"
        "from biomarl_tune.ppo.episodes import play\n"
        "from biomarl_tune.ppo.local import LocalTrainer\n"
        "for batch in (3500, 7000):\n"
        "    trainer = LocalTrainer(Experiment().with_settings({'env.num_agents': 70,\n"
        "        'env.max_episode_steps': 60, 'env.pheromone_diffusion': 0.5,\n"
        "        'ppo.train_batch_size': batch, 'model.hidden_dim': 8}))\n"
        "    trainer.train_iteration()\n"
        "    trainer.train_iteration()\n"
        "    play(trainer.experiment.env, trainer.policy, [(0, 0), (0, 1)], greedy=True)\n"
        "LocalTrainer(Experiment()).train_iteration()\n"
    )
    kept = []

    for code in (ahead, later):
        subprocess.run([sys.executable, "-c", code], check=True, env=environment, timeout=120)
        kept.append({path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nb*")})

    assert len(kept[0]) > 20
    assert kept[0] == kept[1]
