from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from biomarl_tune.errors import InputError
from biomarl_tune.search.spec import load_spec, parse_spec

SEARCH_SPACES = Path(__file__).parents[2] / "search_spaces"
MINIMAL = "name: a\nspace: {env.pheromone_decay: {uniform: [0.2, 0.9]}}\n"


@pytest.mark.parametrize("name", ["pheromone", "smoke", "full"])
def test_shipped_search_spaces_are_good(name):
    """Every search space of the repository loads under its own name."""
    assert load_spec(SEARCH_SPACES / f"{name}.yaml").name == name


def test_values_come_out_checked(search_space):
    """Fixed settings lie over the defaults, choices have their setting's type, starts are whole."""
    spec = parse_spec(search_space)

    assert spec.experiment.env.num_agents == 4
    assert spec.experiment.seed == 3
    assert spec.fixed["ppo.minibatch_size"] == 2000
    assert spec.space["model.hidden_dim"].choices == (16, 32)
    assert spec.search.start_with == (
        {"env.pheromone_decay": 0.95, "model.hidden_dim": 256},
        {"env.pheromone_decay": 0.7, "model.hidden_dim": 256},
    )


def test_what_is_left_out_has_a_default():
    """A name and a space are enough."""
    spec = parse_spec(MINIMAL)

    assert spec.objective[0].metric == "episode_return_mean"
    assert (spec.search.sampler, spec.search.concurrency) == ("tpe", "auto")
    assert spec.budget.minutes is None


def test_grace_default_fits_a_short_search():
    """Without a grace of its own, a search of three iterations is not refused."""
    assert parse_spec(MINIMAL + "stopping: {max_iterations: 3}").stopping.grace_iterations == 3


def test_name_and_seed_can_be_replaced():
    """The command line's name and seed stand in for the file's."""
    spec = parse_spec(MINIMAL, name="b", seed=9)

    assert (spec.name, spec.seed, spec.experiment.seed) == ("b", 9, 9)


def test_seed_of_the_experiment_can_be_its_own():
    """The training seed follows the search's seed unless the file fixes it."""
    spec = parse_spec(MINIMAL + "seed: 5\nexperiment: {seed: 1}")

    assert (spec.seed, spec.experiment.seed) == (5, 1)


def test_old_name_of_a_setting_is_read():
    """num_rollout_workers means num_env_runners, fixed or searched."""
    fixed = parse_spec(MINIMAL + "experiment: {ppo: {num_rollout_workers: 2}}")
    searched = parse_spec("name: a\nspace: {ppo.num_rollout_workers: {choice: [0, 1]}}")

    assert fixed.fixed == {"ppo.num_env_runners": 2}
    assert list(searched.space) == ["ppo.num_env_runners"]


def test_two_objectives_are_taken_in_order():
    """The first of two objectives is the one that early stopping follows."""
    text = MINIMAL + "objective: [{metric: episode_return_mean}, {metric: cpu_seconds, mode: min}]"

    assert [objective.mode for objective in parse_spec(text).objective] == ["max", "min"]


def _space(dimension: str) -> str:
    return f"name: a\nspace:\n  {dimension}\n"


REFUSED = {
    "no mapping": ("- a", "s:1: must be a mapping"),
    "no name": ("space: {a: 1}", "s:1: name: is missing"),
    "no space": ("name: a", "s:1: space: is missing"),
    "unknown key": (
        MINIMAL + "serach: {}",
        "s:3: serach: there is no such key; did you mean search?",
    ),
    "internal key": (MINIMAL + "fixed: {}", "s:3: fixed: there is no such key"),
    "empty name": ("name: ''\nspace: {}", "s:1: name: must be 1 to 64 letters"),
    "path name": ("name: ../x\nspace: {}", "name: must be 1 to 64 letters"),
    "long name": (f"name: {'a' * 65}\nspace: {{}}", "name: must be 1 to 64 letters"),
    "right-to-left name": ('name: "a\u202eb"\nspace: {}', "name: must be 1 to 64 letters"),
    "number name": ("name: 5\nspace: {}", "name: must be 1 to 64 letters"),
    "reserved name": ("name: con.txt\nspace: {}", "name: is a name that some systems reserve"),
    "bool seed": (MINIMAL + "seed: true", "s:3: seed: must be a whole number"),
    "negative seed": (MINIMAL + "seed: -1", "s:3: seed: must be a whole number"),
    "empty space": ("name: a\nspace: {}", "s:2: space: must name at least one setting"),
    "null space": ("name: a\nspace:", "s:2: space: must name at least one setting"),
    "unknown setting": (
        _space("env.pheromone_dcay: {uniform: [0, 1]}"),
        "s:3: space.env.pheromone_dcay: there is no such setting; did you mean env.pheromone_decay",
    ),
    "searched seed": (_space("seed: {int: [0, 9]}"), "space.seed: a seed is nothing to search"),
    "no dimension": (_space("ppo.gamma: 0.9"), "space.ppo.gamma: must be a mapping"),
    "unknown kind": (_space("ppo.gamma: {unifrm: [0, 1]}"), "there is no such key; use uniform"),
    "two kinds": (_space("ppo.gamma: {uniform: [0, 1], choice: [0]}"), "needs exactly one of"),
    "one bound": (_space("ppo.gamma: {uniform: [0]}"), "uniform: must be two numbers"),
    "text bound": (_space("ppo.gamma: {uniform: ['0', 1]}"), "uniform: must be two numbers"),
    "bool bound": (_space("ppo.gamma: {uniform: [false, true]}"), "uniform: must be two numbers"),
    "nan bound": (_space("ppo.gamma: {uniform: [.nan, 1]}"), "bounds must be finite"),
    "inf bound": (_space("env.step_reward: {uniform: [1, .inf]}"), "bounds must be finite"),
    "huge bound": (_space("env.step_reward: {uniform: [1, 1e999]}"), "bounds must be finite"),
    "huge range": (_space("env.step_reward: {uniform: [-1e308, 1e308]}"), "bounds must be finite"),
    "low = high": (_space("ppo.gamma: {uniform: [0.5, 0.5]}"), "got low=0.5 high=0.5"),
    "low > high": (_space("ppo.gamma: {uniform: [0.9, 0.5]}"), "low must be below high"),
    "log of zero": (_space("ppo.gamma: {loguniform: [0, 0.5]}"), "low must be above 0"),
    "fraction as int": (_space("ppo.num_epochs: {int: [1.5, 3]}"), "bounds must be whole numbers"),
    "range of int": (_space("ppo.num_epochs: {uniform: [1, 3]}"), "takes whole numbers; use int"),
    "range of bool": (_space("model.plasticity: {int: [0, 1]}"), "is for numbers"),
    "range of list": (_space("env.grid_size: {int: [1, 4]}"), "is for numbers"),
    "step too long": (_space("ppo.gamma: {uniform: [0, 1], step: 0.3}"), "step: must divide"),
    "step zero": (
        _space("ppo.gamma: {uniform: [0, 1], step: 0}"),
        "step: must be a number above 0",
    ),
    "step of log": (
        _space("ppo.gamma: {loguniform: [0.1, 1], step: 0.1}"),
        "step: does not go with",
    ),
    "step of int": (_space("ppo.num_epochs: {int: [1, 4], step: 1.5}"), "must be a whole number"),
    "step of choice": (_space("ppo.gamma: {choice: [0, 1], step: 1}"), "step: does not go with"),
    "empty choice": (_space("ppo.gamma: {choice: []}"), "choice: must be a list of at least one"),
    "many choices": (
        _space(f"ppo.gamma: {{choice: {[i / 200 for i in range(200)]}}}"),
        "at most 100",
    ),
    "same choice": (_space("ppo.gamma: {choice: [0.5, 0.50]}"), "choice: holds a value twice"),
    "wrong choice": (
        _space("model.hidden_dim: {choice: [64, x]}"),
        "choice: must be a whole number",
    ),
    "bool choice": (_space("model.hidden_dim: {choice: [true]}"), "choice: must be a number"),
    "choice out of range": (_space("ppo.gamma: {choice: [0.9, 1.5]}"), "choice: must be at most 1"),
    "range out of range": (
        _space("ppo.gamma: {uniform: [0.9, 1.5]}"),
        "uniform: must be at most 1",
    ),
    "when no mapping": (_space("ppo.gamma: {uniform: [0, 1], when: x}"), "when: must be a mapping"),
    "when unknown": (
        _space("ppo.gamma: {uniform: [0, 1], when: {model.plastic: true}}"),
        "s:3: space.ppo.gamma.when.model.plastic: there is no such setting",
    ),
    "when never": (
        _space("ppo.gamma: {uniform: [0, 1], when: {model.plasticity: false}}"),
        "can never hold, got False: model.plasticity is True",
    ),
    "when not drawn": (
        _space("ppo.gamma: {uniform: [0, 1], when: {model.hidden_dim: 8}}")
        + "  model.hidden_dim: {choice: [16, 32]}",
        "model.hidden_dim is searched without that value",
    ),
    "when circle": (
        _space("ppo.gamma: {uniform: [0, 1], when: {ppo.clip: 0.5}}")
        + "  ppo.clip: {uniform: [0.1, 0.9], when: {ppo.gamma: 0.5}}",
        "its `when` depends on itself",
    ),
    "when contradiction": (
        _space("model.plasticity: {choice: [true, false]}")
        + "  model.memory_dim: {choice: [8, 16], when: {model.plasticity: true}}\n"
        + "  ppo.gamma: {uniform: [0, 1], when: {model.memory_dim: 8, model.plasticity: false}}",
        "its conditions contradict one another",
    ),
    "fixed and searched": (
        MINIMAL + "experiment: {env: {pheromone_decay: 0.5}}",
        "s:2: space.env.pheromone_decay: is fixed under `experiment` too, at 0.5",
    ),
    "both names": (
        _space("ppo.num_env_runners: {choice: [0]}") + "  ppo.num_rollout_workers: {choice: [1]}",
        "is given twice, also as ppo.num_env_runners",
    ),
    "minibatch over batch": (
        _space("ppo.train_batch_size: {choice: [2000, 8000]}")
        + "experiment: {ppo: {minibatch_size: 4000}}",
        "s:3: space.ppo.train_batch_size: the space holds a point that cannot be trained",
    ),
    "unknown fixed": (
        MINIMAL + "experiment:\n  env: {num_agent: 3}",
        "s:4: experiment.env.num_agent: there is no such key; did you mean num_agents?",
    ),
    "unknown group": (MINIMAL + "experiment: {evn: {}}", "experiment.evn: there is no such key"),
    "group no mapping": (MINIMAL + "experiment: {env: 3}", "experiment.env: must be a mapping"),
    "fixed text": (
        MINIMAL + "experiment: {env: {num_agents: x}}",
        "must be a whole number, got 'x'",
    ),
    "fixed bool": (MINIMAL + "experiment: {env: {num_agents: true}}", "must be a number, got True"),
    "fixed nan": (
        MINIMAL + "experiment: {ppo: {gamma: .nan}}",
        "ppo.gamma: must be finite, got nan",
    ),
    "fixed out of range": (MINIMAL + "experiment: {ppo: {gamma: 2}}", "must be at most 1.0, got 2"),
    "fixed minibatch": (
        MINIMAL + "experiment:\n  ppo: {train_batch_size: 100,\n    minibatch_size: 200}",
        "s:5: experiment.ppo.minibatch_size: must be at most ppo.train_batch_size",
    ),
    "unknown metric": (
        MINIMAL + "objective: {metric: episode_return_men}",
        "s:3: objective.metric: there is no such metric, got 'episode_return_men'; did you mean",
    ),
    "wrong mode": (MINIMAL + "objective: {mode: up}", "objective.mode: must be 'max' or 'min'"),
    "no objective": (MINIMAL + "objective: []", "objective: must be one or two metrics, got 0"),
    "three objectives": (MINIMAL + "objective: [{}, {}, {}]", "must be one or two metrics, got 3"),
    "same objective": (MINIMAL + "objective: [{}, {mode: min}]", "objective.1: repeats the metric"),
    "no trials": (MINIMAL + "search: {trials: 0}", "s:3: search.trials: must be at least 1, got 0"),
    "bool trials": (MINIMAL + "search: {trials: true}", "search.trials: must be a whole number"),
    "text trials": (MINIMAL + "search: {trials: '9'}", "search.trials: must be a whole number"),
    "float trials": (MINIMAL + "search: {trials: 9.5}", "search.trials: must be a whole number"),
    "sampler": (MINIMAL + "search: {sampler: tp}", "search.sampler: must be 'tpe', 'random', 'gp'"),
    "concurrency": (MINIMAL + "search: {concurrency: 0}", "must be auto or a whole number from 1"),
    "search list": (MINIMAL + "search: [1]", "search: must be a mapping"),
    "start no list": (MINIMAL + "search: {start_with: {}}", "start_with: must be a list"),
    "start no mapping": (MINIMAL + "search: {start_with: [1]}", "start_with.0: must be a mapping"),
    "start unknown": (MINIMAL + "search: {start_with: [{env.x: 1}]}", "there is no such setting"),
    "start fixed": (MINIMAL + "search: {start_with: [{ppo.gamma: 0.9}]}", "is not searched"),
    "start outside": (
        MINIMAL + "search: {start_with: [{env.pheromone_decay: 0.1}]}",
        "s:3: search.start_with.0.env.pheromone_decay: is outside the space, got 0.1",
    ),
    "start repeated": (
        MINIMAL + "search: {start_with: [{}, {env.pheromone_decay: 0.95}]}",
        "search.start_with.1: runs the same settings as entry 0",
    ),
    "more starts than trials": (
        MINIMAL + "search: {trials: 1, start_with: [{}, {env.pheromone_decay: 0.5}]}",
        "search.trials: must be at least the 2 entries of start_with",
    ),
    "grace over max": (
        MINIMAL + "stopping: {max_iterations: 3, grace_iterations: 5}",
        "stopping.grace_iterations: must be at most max_iterations, got grace_iterations=5",
    ),
    "reduction": (MINIMAL + "stopping: {reduction: 1}", "stopping.reduction: must be at least 2"),
    "scheduler": (MINIMAL + "stopping: {scheduler: x}", "stopping.scheduler: must be 'asha'"),
    "minutes": (MINIMAL + "budget: {minutes: 0}", "budget.minutes: must be above 0"),
    "top": (MINIMAL + "evaluation: {top: 0}", "evaluation.top: must be at least 1, got 0"),
    "seeds": (MINIMAL + "evaluation: {seeds: 0}", "evaluation.seeds: must be at least 1"),
    "episodes": (MINIMAL + "evaluation: {episodes_per_seed: 0}", "must be at least 1, got 0"),
    "unknown part": (MINIMAL + "evaluation: {sedes: 1}", "did you mean seeds?"),
}


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED)
def test_bad_spec_is_refused_in_one_line(text, message):
    """Each mistake is named with source, line, key and value, in one line."""
    with pytest.raises(InputError) as refused:
        parse_spec(text, "s")

    assert message in str(refused.value)
    assert str(refused.value).startswith("s:")
    assert len(str(refused.value).splitlines()) == 1


def test_sampler_without_its_package_is_refused(monkeypatch):
    """A sampler whose package is not installed is refused with what to install."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)

    with pytest.raises(InputError, match="cmaes needs the package cmaes; install it, or use tpe"):
        parse_spec(MINIMAL + "search: {sampler: cmaes}")


def test_minibatch_rule_is_checked_inside_the_space_only():
    """Two searched settings that fit at every point pass, though one does not fit the default."""
    text = _space("ppo.train_batch_size: {choice: [60000, 90000]}")

    spec = parse_spec(text + "  ppo.minibatch_size: {choice: [1000, 60000]}")

    assert spec.space["ppo.minibatch_size"].choices == (1000, 60000)


def test_checking_a_spec_imports_nothing_heavy():
    """`check` answers fast because optuna, torch, ray, pandas and SQLAlchemy stay unloaded."""
    code = (
        "import sys, biomarl_tune.search.spec\n"
        "print({'optuna', 'torch', 'ray', 'pandas', 'sqlalchemy'} & set(sys.modules))"
    )

    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert out.stdout.strip() == "set()"
