import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from biomarl_tune.search.optuna_tables import (
    add_trial,
    write_study_attributes,
    write_trial_attributes,
)

DISTRIBUTIONS = {
    "decay": FloatDistribution(0.5, 0.99),
    "rate": FloatDistribution(1e-4, 3e-3, log=True),
    "hidden": IntDistribution(32, 256, step=32),
    "size": CategoricalDistribution(("[4, 3, 3]", None, True)),
}
VALUES = {"decay": 0.75, "rate": 1e-3, "hidden": 64, "size": None}
USER = {"settings": {"env.size": [4, 3, 3], "ppo.learning_rate": 0.1}, "why": "tpe – „first“"}
SYSTEM = {"tpe:relative": {"decay": 0.75}}


@pytest.fixture
def storage(tmp_path):
    """Optuna's own storage with one study."""
    storage = RDBStorage(f"sqlite:///{tmp_path}/study.db")
    storage.create_new_study([StudyDirection.MAXIMIZE], "study")
    yield storage
    storage.remove_session()
    storage.engine.dispose()


def _columns(trial):
    return {
        name: getattr(trial, name)
        for name in ("state", "params", "distributions", "user_attrs", "system_attrs", "values")
    }


def test_optuna_reads_a_trial_as_if_it_had_written_it(storage):
    """Parameters, attributes, state and time are those of a trial of Optuna's own."""
    template = create_trial(
        state=TrialState.RUNNING,
        params=VALUES,
        distributions=DISTRIBUTIONS,
        user_attrs=USER,
        system_attrs=SYSTEM,
    )
    theirs = storage.get_trial(storage.create_new_trial(1, template))
    parameters = {name: (VALUES[name], DISTRIBUTIONS[name]) for name in DISTRIBUTIONS}

    ours = storage.get_trial(add_trial(storage.engine, 1, 1, parameters, USER, SYSTEM))

    assert _columns(ours) == _columns(theirs)
    assert (theirs.number, ours.number) == (0, 1)
    assert 0 <= (ours.datetime_start - theirs.datetime_start).total_seconds() < 60


def test_a_trial_without_parameters_has_none(storage):
    """A space of constants gives Optuna no parameter, and rows of nothing are not written."""
    trial = storage.get_trial(add_trial(storage.engine, 1, 0, {}, {"why": "constant"}, {}))

    assert (trial.params, trial.system_attrs) == ({}, {})


def test_attributes_are_added_and_replaced(storage):
    """Those that are named again take the new value; the others stay."""
    trial = add_trial(storage.engine, 1, 0, {}, USER, {})
    write_trial_attributes(storage.engine, trial, {"why": "again", "iteration": 3})
    write_study_attributes(storage.engine, 1, {"seconds": 1.5, "identity": "a"})
    write_study_attributes(storage.engine, 1, {"seconds": 2.5})

    assert storage.get_trial(trial).user_attrs == {**USER, "why": "again", "iteration": 3}
    assert storage.get_study_user_attrs(1) == {"seconds": 2.5, "identity": "a"}


def test_optuna_ends_a_trial_and_samples_after_it(storage):
    """An Optuna study goes on from trials that were written here."""
    storage.set_trial_state_values(
        add_trial(storage.engine, 1, 0, {"decay": (0.6, DISTRIBUTIONS["decay"])}, {}, {}),
        TrialState.COMPLETE,
        [2.0],
    )
    study = optuna.load_study(study_name="study", storage=storage)
    study.optimize(lambda trial: trial.suggest_float("decay", 0.5, 0.99), n_trials=1)

    assert [trial.number for trial in study.trials] == [0, 1]
    assert study.best_value == 2.0
