"""How much work learning is, counted: calls, operations and bytes, not seconds.

The bounds are a tenth above what was counted when they were set; what exceeds one makes every
trial slower, so find out why before raising it.
"""

import sys
from collections import Counter

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from biomarl_tune.experiment import Experiment
from biomarl_tune.ppo.local import new_optimizer, new_policy
from biomarl_tune.ppo.sampling import Sampler
from biomarl_tune.ppo.update import update

MLP = {"pheromone_attention": False, "plasticity": False, "messages": False}
SETTINGS = {"model.hidden_dim": 16, "ppo.train_batch_size": 6000, "ppo.minibatch_size": 1500}
MINIBATCHES = 4 * 4
NO_WORK = ("view", "select", "slice", "detach", "alias", "t.", "transpose", "permute", "unsqueeze")


class Work(TorchDispatchMode):
    """Counts operations that are more than a view, and the bytes that they make."""

    def __init__(self):
        super().__init__()
        self.operations, self.bytes = Counter(), 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        name = str(function).removeprefix("aten.")
        if not name.startswith(NO_WORK):
            self.operations[name] += 1
            made = result if isinstance(result, tuple) else (result,)
            given = {x.data_ptr() for x in args if isinstance(x, torch.Tensor)}
            self.bytes += sum(
                x.nbytes for x in made if isinstance(x, torch.Tensor) and x.data_ptr() not in given
            )
        return result


def learner(*, full):
    """Return a function that learns from one batch of four worlds, 16 minibatches of one."""
    off = {} if full else {f"model.{name}": False for name in MLP}
    experiment = Experiment().with_settings(SETTINGS | off)
    policy = new_policy(experiment)
    batch, _ = Sampler(experiment, policy).sample()
    optimizer = new_optimizer(policy, experiment)

    def learn():
        update(policy, optimizer, batch, experiment, np.random.default_rng(0))

    learn()  # what is made once is made by now
    return learn


def python_calls(run):
    """Return how many functions, Python's and C's, a run calls."""
    calls = Counter()
    sys.setprofile(lambda _frame, event, _arg: calls.update([event]))
    try:
        run()
    finally:
        sys.setprofile(None)
    return calls["call"] + calls["c_call"]


@pytest.mark.parametrize(("full", "bound"), [(True, 375), (False, 195)])
def test_python_calls_of_a_minibatch(full, bound):
    """Nothing is done row by row or agent by agent."""
    assert python_calls(learner(full=full)) / MINIBATCHES <= bound


@pytest.mark.parametrize(("full", "bound"), [(True, 120), (False, 53)])
def test_operations_of_a_minibatch(full, bound):
    """Torch is called for few, large operations."""
    learn = learner(full=full)

    with Work() as work:
        learn()

    assert work.operations.total() / MINIBATCHES <= bound, work.operations.most_common(20)


@pytest.mark.parametrize(("full", "bound"), [(True, 4600), (False, 1400)])
def test_bytes_made_by_a_minibatch(full, bound):
    """New memory is written for the layers once, and not copied around: bytes an agent step."""
    learn = learner(full=full)

    with Work() as work:
        learn()

    assert work.bytes / (MINIBATCHES * 1500) <= bound


def test_calls_do_not_grow_with_the_agents():
    """Ten times the agents in one minibatch are the same calls."""
    counts = []
    for agents in (5, 50):
        settings = {
            "env.num_agents": agents,
            "ppo.train_batch_size": 100 * agents,
            "ppo.minibatch_size": 50 * agents,
            "model.hidden_dim": 8,
        }
        experiment = Experiment().with_settings(settings)
        policy = new_policy(experiment)
        sampler = Sampler(experiment, policy)
        batch, _ = sampler.sample()
        optimizer = new_optimizer(policy, experiment)

        def both(policy=policy, optimizer=optimizer, batch=batch, experiment=experiment, s=sampler):
            update(policy, optimizer, batch, experiment, np.random.default_rng(0))
            s.sample()

        both()
        counts.append(python_calls(both))

    assert counts[1] <= 1.05 * counts[0]
