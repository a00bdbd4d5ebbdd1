from __future__ import annotations

import pytest

from biomarl_tune.errors import InputError, UnsafeError
from biomarl_tune.search.extension import extend
from biomarl_tune.search.study import Study


@pytest.fixture
def directory(study):
    """The directory of a search of six trials, four of which have ended."""
    for value in (1.0, 2.0, 3.0, 4.0):
        proposal = study.suggest()
        study.report(proposal.number, 1, {"episode_return_mean": value}, seconds=1.0)
        study.finish(proposal.number, "PRUNED", "asha")
    study.close()
    return study.directory


def _edit(directory, old, new):
    text = directory.spec.read_text()
    assert old in text
    directory.spec.write_text(text.replace(old, new))


@pytest.mark.parametrize(("amount", "trials"), [("+20", 26), ("44", 44), ("+0", 6)])
def test_more_trials(directory, amount, trials):
    """So many more, or so many in all; the numbers go on where they ended."""
    if trials == 6:
        with pytest.raises(InputError, match="nothing to extend"):
            extend(directory, trials=amount)
        return
    extend(directory, trials=amount)

    with Study.open(directory.path) as study:
        assert study.spec.search.trials == trials
        assert study.suggest().number == 4


def test_extending_twice_adds_up(directory):
    """The second adds to what the first has made of it."""
    extend(directory, trials="+2")
    extend(directory, trials="+3")

    with Study.open(directory.path, read_only=True) as study:
        assert study.spec.search.trials == 11


def test_minutes_are_added_where_there_is_a_limit(directory):
    """Where there is none, nothing can be added to it."""
    with pytest.raises(InputError, match="--minutes: the search has no such limit"):
        extend(directory, minutes="+5")
    extend(directory, minutes="30")
    extend(directory, minutes="+5")

    with Study.open(directory.path, read_only=True) as study:
        assert study.spec.budget.minutes == 35


def test_other_bounds_are_taken_over(directory):
    """Trials outside them stay in the record, and proposals keep inside."""
    _edit(directory, "[0.2, 0.9]", "[0.65, 0.75]")
    with pytest.raises(UnsafeError, match="biomarl-tune extend"):
        Study.open(directory.path)

    extend(directory, trials="+4")

    with Study.open(directory.path) as study:
        proposals = [study.suggest() for _ in range(6)]
        assert all(0.65 <= p.settings["env.pheromone_decay"] <= 0.75 for p in proposals)
        assert len(study.trials()) == 10
        assert study.trials()[0].settings["env.pheromone_decay"] == 0.95


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("choice: [16, 32]", "choice: [16, 64]", "space.model.hidden_dim"),
        ("uniform: [0.2, 0.9]", "loguniform: [0.2, 0.9]", "space.env.pheromone_decay"),
        ("num_agents: 4", "num_agents: 5", "experiment"),
        ("seed: 3", "seed: 4", "seed"),
        ("mode: max", "mode: min", "objective"),
        ("sampler: tpe", "sampler: random", "search"),
        ("max_iterations: 4", "max_iterations: 5", "stopping"),
    ],
)
def test_another_search_is_refused(directory, old, new, told):
    """It names what was changed; the record is as it was."""
    _edit(directory, old, new)
    with pytest.raises(UnsafeError, match=rf"spec.yaml: {told}.* was changed"):
        extend(directory, trials="+4")

    _edit(directory, new, old)
    with Study.open(directory.path) as study:
        assert study.spec.search.trials == 6


def test_starts_may_be_left_out_once_they_have_run(directory):
    """A narrowed range would refuse them."""
    _edit(directory, ", {env.pheromone_decay: 0.7}]", "]")
    _edit(directory, "[0.2, 0.9]", "[0.2, 0.5]")

    extend(directory)

    with Study.open(directory.path) as study:
        assert study.suggest().settings["env.pheromone_decay"] <= 0.5


@pytest.mark.parametrize("amount", ["-5", "many", "2", "+1.5", "9999999999"])
def test_amounts_that_cannot_be_are_refused(directory, amount):
    """Fewer than have begun, no number, half a trial."""
    with pytest.raises(InputError, match="--trials: must be"):
        extend(directory, trials=amount)


def test_a_running_search_is_left_alone(study):
    """It is locked by the process that runs it."""
    with pytest.raises(UnsafeError, match="is running this search"):
        extend(study.directory, trials="+1")
