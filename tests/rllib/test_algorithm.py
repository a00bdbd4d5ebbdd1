"""The algorithm, on its own and as a trial of a search."""

import math
import os
import signal

import pytest
import torch
from ray import tune
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.tune.search import Searcher

from biomarl_tune.errors import TrialError
from biomarl_tune.experiment import Experiment
from biomarl_tune.ppo.checkpoint import load_weights
from biomarl_tune.ppo.local import LocalTrainer
from biomarl_tune.rllib.algorithm import BioPPO, BioPPOConfig
from biomarl_tune.rllib.env import ColonyEnv
from biomarl_tune.scalars import SCALARS

pytestmark = pytest.mark.ray

TIMED = {"agent_steps_per_second", "sample_seconds", "learn_seconds", "rss_mb"}


@pytest.fixture
def build(ray_session):
    """Return a function that builds an algorithm, which is stopped at the end of the test."""
    built = []

    def make(experiment, trial=None):
        tree = {"experiment": experiment.model_dump()} | ({"trial": trial} if trial else {})
        built.append(BioPPO(tree))
        return built[-1]

    yield make
    for algorithm in built:
        algorithm.stop()


def trial_at(directory, **settings):
    """Return what a search says of one of its trials."""
    return {"number": 7, "directory": str(directory), "max_iterations": 3, **settings}


def measured(report):
    """Return the scalars that do not depend on the machine's speed."""
    return {name: report[name] for name in SCALARS if name not in TIMED}


def weights(algorithm):
    """Return a copy of the brain's weights."""
    state = algorithm.get_module().policy.state_dict()
    return {name: tensor.clone() for name, tensor in state.items()}


def test_without_tune_it_trains_as_the_local_engine_does(ray_session, small):
    """Three iterations give the scalars of the plain loop, and weights equal to 1e-5."""
    local = LocalTrainer(small)
    algorithm = BioPPOConfig.from_experiment(small).build_algo()
    try:
        for iteration in (1, 2, 3):
            report = algorithm.train()
            assert measured(report) == pytest.approx(measured(local.train_iteration()), abs=1e-5)
            assert report["iteration"] == report["training_iteration"] == iteration
            assert report["agent_steps"] == 240 * iteration
        for name, weight in local.policy.state_dict().items():
            assert torch.allclose(weights(algorithm)[name], weight, atol=1e-5)
    finally:
        algorithm.stop()


def test_a_report_has_the_named_scalars_and_nothing_of_rllibs_hundreds(build, small):
    """The step's report is the contract; RLlib's lifetime counters are kept beside it."""
    algorithm = build(small)
    algorithm.step()
    report = algorithm.step()
    assert set(report) == set(SCALARS) | {"iteration", "training_iteration"}
    assert all(math.isfinite(report[name]) for name in SCALARS)
    lifetime = ("learners", "default_policy", "num_module_steps_trained_lifetime")
    assert algorithm.metrics.peek(lifetime) == 2 * 240


def test_a_restored_algorithm_continues_as_if_nothing_had_happened(build, small, tmp_path):
    """Weights, optimiser, counters and generators survive RLlib's save and restore."""
    algorithm = build(small)
    algorithm.train()
    algorithm.save_to_path(tmp_path / "state")
    expected = [algorithm.train() for _ in range(2)]
    again = build(small)
    again.restore_from_path(tmp_path / "state")
    found = [again.train() for _ in range(2)]
    assert [measured(report) for report in found] == [measured(report) for report in expected]
    assert [report["iteration"] for report in found] == [2, 3]
    assert again.training_iteration == 3
    for name, weight in weights(algorithm).items():
        assert torch.equal(weights(again)[name], weight)


@pytest.mark.parametrize("runners", [0, 1])
def test_a_trial_goes_back_to_its_state(build, small, tmp_path, runners):
    """A new process, and the one that went on meanwhile, continue alike from what was written."""
    experiment = small.with_settings({"ppo.num_env_runners": runners})
    algorithm = build(experiment)
    algorithm.train()
    algorithm.write_state(tmp_path)
    expected = [measured(algorithm.train()) for _ in range(2)]
    for continued in (algorithm, build(experiment)):
        continued.read_state(tmp_path)
        assert [measured(continued.train()) for _ in range(2)] == expected


def test_a_checkpoint_builds_the_algorithm_outside_of_its_search(build, small, tmp_path):
    """RLlib's from_checkpoint restores the counters and leaves the trial's folder alone."""
    algorithm = build(small, trial_at(tmp_path / "trials" / "7"))
    algorithm.train()
    algorithm.save_to_path(tmp_path / "state")
    again = BioPPO.from_checkpoint(tmp_path / "state")
    try:
        assert again.config.trial is None
        report = again.train()
        assert (report["iteration"], report["agent_steps"]) == (2, 480)
        assert again.training_iteration == 2
    finally:
        again.stop()


def test_a_trial_writes_checkpoints_and_continues_from_them(build, small, tmp_path):
    """At rungs and at the end; whoever starts it next goes on from the newest."""
    directory = tmp_path / "trials" / "7"
    trial = trial_at(directory, checkpoint_iterations=[1])
    first = build(small, trial)
    reports = [first.train() for _ in range(3)]
    assert [report["checkpoint"] for report in reports] == [
        "checkpoints/iteration-000001",
        "checkpoints/iteration-000001",
        "checkpoints/iteration-000003",
    ]
    experiment, saved = load_weights(directory / "checkpoints" / "iteration-000003")
    assert experiment == small
    assert all(torch.equal(saved[name], weight) for name, weight in weights(first).items())
    second = build(small, {**trial, "max_iterations": 5})
    again = second.train()
    assert again["again"]
    assert measured(again) == measured(reports[-1])
    assert again["iteration"] == 3
    report = second.train()
    assert (report["iteration"], report["agent_steps"]) == (4, 960)
    assert report["checkpoint"] == "checkpoints/iteration-000003"
    assert report["seconds"] > reports[-1]["seconds"]
    second.train()
    kept = sorted(path.name for path in (directory / "checkpoints").iterdir())
    assert kept == ["iteration-000003", "iteration-000005"]


def test_a_damaged_checkpoint_is_passed_over(build, small, tmp_path):
    """The trial goes on from the one before."""
    trial = trial_at(tmp_path / "trials" / "7", checkpoint_iterations=[1, 2])
    first = build(small, trial)
    first.train()
    first.train()
    state = tmp_path / "trials/7/checkpoints/iteration-000002/state/rllib.pkl"
    state.write_bytes(state.read_bytes()[:-10])
    again = build(small, trial)
    assert [again.train()["iteration"] for _ in range(2)] == [1, 2]


def test_a_warm_process_begins_another_trial(build, small, tmp_path):
    """A reset gives what a new process would, also with another width and number of worlds."""
    warm = build(small)
    warm.train()
    other = small.with_settings(
        {"model.hidden_dim": 12, "env.num_agents": 2, "ppo.learning_rate": 0.01, "seed": 5}
    )
    trial = trial_at(tmp_path / "trials" / "7", checkpoint_iterations=[1])
    assert warm.reset({"experiment": other.model_dump(), "trial": trial})
    report = warm.train()
    assert measured(report) == measured(build(other).train())
    assert (report["iteration"], report["checkpoint"]) == (1, "checkpoints/iteration-000001")


def test_a_scalar_that_is_not_finite_ends_the_trial(build, small):
    """The error names it."""
    algorithm = build(small)
    with torch.no_grad():
        algorithm.get_module().policy.critic_out.bias.fill_(math.nan)
    with pytest.raises(TrialError, match="policy_loss: not finite, got nan"):
        algorithm.train()
    assert algorithm.iteration == 0


def test_a_trial_that_fails_tells_the_search(build, small, tmp_path):
    """The report says why; no checkpoint of such weights is written."""
    algorithm = build(small, trial_at(tmp_path / "trials" / "7", checkpoint_iterations=[1]))
    with torch.no_grad():
        algorithm.get_module().policy.critic_out.bias.fill_(math.nan)
    report = algorithm.train()
    assert report["failure"].startswith("TrialError: policy_loss: not finite, got nan")
    assert "Traceback" in report["traceback"]
    assert not (tmp_path / "trials" / "7" / "checkpoints").exists()


@pytest.fixture(scope="module")
def far(ray_session):
    """An algorithm with one env runner in a process of its own, for several tests."""
    built = []

    def make(experiment):
        tree = {"experiment": experiment.with_settings({"ppo.num_env_runners": 1}).model_dump()}
        if built:
            assert built[0].reset(tree)
        else:
            built.append(BioPPO(tree))
        return built[0]

    yield make
    for algorithm in built:
        algorithm.stop()


def process_of(algorithm):
    """Return the process number of the only env runner."""
    runners = algorithm.env_runner_group
    return runners.foreach_env_runner(lambda _: os.getpid(), local_env_runner=False)[0]


def test_an_env_runner_elsewhere_changes_nothing(far, small):
    """Where the worlds are stepped does not matter for what is learned."""
    local, algorithm = LocalTrainer(small), far(small)
    for _ in range(2):
        expected = measured(local.train_iteration())
        assert measured(algorithm.train()) == pytest.approx(expected, abs=1e-5)


def test_env_runners_are_reconfigured_and_not_started_again(far, small):
    """The process lives on and samples the next experiment."""
    algorithm = far(small)
    before = process_of(algorithm)
    other = small.with_settings({"model.hidden_dim": 12, "seed": 5})
    report = far(other).train()
    assert process_of(algorithm) == before
    assert measured(report) == pytest.approx(
        measured(LocalTrainer(other).train_iteration()), abs=1e-5
    )


def test_a_spare_env_runner_waits_for_the_next_trial_that_wants_it(far, small):
    """A trial without env runners leaves the process alone, and the one after has it again."""
    algorithm = far(small)
    before = process_of(algorithm)
    assert algorithm.reset({"experiment": small.model_dump()})
    assert measured(algorithm.train()) == measured(LocalTrainer(small).train_iteration())
    report = far(small).train()
    assert process_of(algorithm) == before
    assert measured(report) == pytest.approx(
        measured(LocalTrainer(small).train_iteration()), abs=1e-5
    )


def test_a_trial_that_wants_an_env_runner_gets_one_started(build, small):
    """A process that had none begins one; nothing else is built anew."""
    algorithm = build(small)
    wanted = small.with_settings({"ppo.num_env_runners": 1})
    assert algorithm.reset({"experiment": wanted.model_dump()})
    assert process_of(algorithm) != os.getpid()
    assert measured(algorithm.train()) == pytest.approx(
        measured(LocalTrainer(small).train_iteration()), abs=1e-5
    )


def test_a_restore_brings_the_worlds_of_env_runners_back(far, small, tmp_path):
    """Their generators and memories are part of the checkpoint."""
    algorithm = far(small)
    algorithm.train()
    algorithm.save_to_path(tmp_path / "state")
    expected = measured(algorithm.train())
    algorithm.restore_from_path(tmp_path / "state")
    assert measured(algorithm.train()) == expected


OVERLAP = {"ppo.num_env_runners": 1, "ppo.overlap_sampling": True}


def test_overlapped_sampling_trains_as_the_local_engine_does(far, small):
    """The next batch is drawn by the brain from before the update, in both engines."""
    overlapping = small.with_settings(OVERLAP)
    local, algorithm = LocalTrainer(overlapping), far(overlapping)
    for _ in range(4):
        expected = measured(local.train_iteration())
        assert measured(algorithm.train()) == pytest.approx(expected, abs=1e-5)


def test_a_restore_brings_back_what_was_drawn_ahead(far, small, tmp_path):
    """What is on its way belongs to the checkpoint; the trial after it starts with nothing."""
    algorithm = far(small.with_settings(OVERLAP))
    algorithm.train()
    algorithm.save_to_path(tmp_path / "state")
    expected = [measured(algorithm.train()) for _ in range(2)]
    algorithm.restore_from_path(tmp_path / "state")
    assert [measured(algorithm.train()) for _ in range(2)] == expected

    plain = far(small)
    assert measured(plain.train()) == pytest.approx(
        measured(LocalTrainer(small).train_iteration()), abs=1e-5
    )


def test_a_world_that_fails_in_an_overlapped_sample_fails_the_trial(far, small):
    """The error comes with the iteration that wants the sample, the one after the next."""
    algorithm = far(small.with_settings(OVERLAP))
    algorithm.train()
    algorithm._ahead.drawn()  # the sample before it is whole
    algorithm.env_runner_group.foreach_env_runner(_break_the_world, local_env_runner=False)
    algorithm.train()
    with pytest.raises(TrialError, match="a world failed"):
        algorithm.train()


def _break_the_world(runner):
    runner.sampler = None
    runner.worlds = "none"


def test_where_sampling_overlaps_learning_every_runner_has_a_cpu():
    """Without, the first takes turns with the trial itself."""
    for settings, cpus in (({"ppo.num_env_runners": 1}, 1), (OVERLAP, 2)):
        config = {"experiment": Experiment().with_settings(settings).model_dump()}
        request = BioPPO.default_resource_request(config)
        assert sum(bundle.get("CPU", 0) for bundle in request.bundles) == cpus


def test_a_world_that_fails_elsewhere_is_told_with_its_traceback(far, small):
    """The trial fails at once and says why; the runner itself lives on."""
    algorithm = far(small)

    def damage(runner):
        runner._sampler().acting.colony.step = None

    algorithm.env_runner_group.foreach_env_runner(damage, local_env_runner=False)
    with pytest.raises(TrialError, match=r"a world failed(?s:.*)'NoneType' object is not callable"):
        algorithm.train()


def test_a_killed_env_runner_is_started_again(far, small):
    """The iteration completes with the runner that Ray has started in its place."""
    algorithm = far(small)
    before = process_of(algorithm)
    os.kill(before, signal.SIGKILL)
    report = algorithm.train()
    assert report["agent_steps"] == 240
    assert process_of(algorithm) != before


class Listed(Searcher):
    """Propose given configs one after the other."""

    def __init__(self, configs):
        super().__init__(metric="episode_return_mean", mode="max")
        self.configs = list(configs)

    def suggest(self, trial_id):
        """Return the next config."""
        return self.configs.pop(0) if self.configs else Searcher.FINISHED

    def on_trial_complete(self, *args, **kwargs):
        """Do nothing."""


class Watch(tune.Callback):
    """Note the reports."""

    def __init__(self):
        self.seen = []

    def on_trial_result(self, *, trial, result, **_):
        """Note whose report it is."""
        self.seen.append((result["pid"], trial.config["trial"]["number"], result["iteration"]))


def test_tune_runs_its_trials_in_one_process(ray_session, small, tmp_path, monkeypatch):
    """With reuse_actors trials of other widths, with and without env runner, share a process."""
    monkeypatch.setenv("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    configs = [
        {
            "experiment": small.with_settings(
                {"model.hidden_dim": width, "ppo.num_env_runners": runners}
            ).model_dump(),
            "trial": trial_at(tmp_path / "trials" / str(i), number=i, max_iterations=2),
        }
        for i, (width, runners) in enumerate([(8, 0), (12, 1), (16, 0), (4, 1)])
    ]
    watch = Watch()
    tuner = tune.Tuner(
        BioPPO,
        tune_config=tune.TuneConfig(
            search_alg=Listed(configs), num_samples=4, max_concurrent_trials=1, reuse_actors=True
        ),
        run_config=tune.RunConfig(
            storage_path=str(tmp_path / "attempts"),
            stop={"iteration": 2},
            callbacks=[watch],
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            verbose=0,
        ),
    )
    assert tuner.fit().num_errors == 0
    assert len({process for process, *_ in watch.seen}) == 1
    assert [report[1:] for report in watch.seen] == [(i, n) for i in range(4) for n in (1, 2)]


def test_stock_ppo_trains_on_the_environment(ray_session, monkeypatch, tmp_path):
    """RLlib's own PPO, env runner and module run an iteration with a shared policy."""
    monkeypatch.setattr("ray.tune.trainable.trainable.DEFAULT_STORAGE_PATH", str(tmp_path))
    config = (
        PPOConfig()
        .environment(ColonyEnv, env_config={"num_agents": 2, "max_episode_steps": 20})
        .multi_agent(policies={"shared"}, policy_mapping_fn=lambda *_, **__: "shared")
        .rl_module(rl_module_spec=RLModuleSpec(model_config=DefaultModelConfig(fcnet_hiddens=[8])))
        .env_runners(num_env_runners=0)
        .training(train_batch_size_per_learner=80, minibatch_size=40, num_epochs=1)
        .debugging(log_sys_usage=False)
    )
    algorithm = config.build_algo()
    try:
        report = algorithm.train()
    finally:
        algorithm.stop()
    assert report["env_runners"]["num_episodes"] > 0
    assert report["env_runners"]["episode_len_mean"] == 20
    assert math.isfinite(report["learners"]["shared"]["total_loss"])
