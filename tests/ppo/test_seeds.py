"""Training seeds of one trial: whose turn it is, and what is left behind."""

import pytest

from biomarl_tune.ppo.local import LocalTrainer
from biomarl_tune.ppo.seeds import SeedRuns, with_training_seed
from biomarl_tune.ppo.trial import Trial, TrialRun

STAGES = ((1, 1), (2, 2), (3, 3))
ORDER = [(0, 1), (0, 2), (1, 1), (1, 2), (0, 3), (1, 3), (2, 1), (2, 2), (2, 3)]


@pytest.fixture
def runs(tmp_path, tiny):
    """Return what begins, or takes up, a trial of three seeds and three stages."""
    experiment = tiny()

    def make(*, crash=(), lost=()):
        trial = Trial(
            number=0,
            directory=tmp_path,
            max_iterations=3,
            checkpoint_iterations=(1, 2),
            stages=STAGES,
            lost_seeds=lost,
        )

        def begin(seed):
            if seed in crash:
                msg = f"seed {seed} cannot begin"
                raise OSError(msg)
            trainer = LocalTrainer(with_training_seed(experiment, seed))
            return TrialRun(trial.of_seed(seed), trainer)

        return SeedRuns(trial, begin)

    return make


def _fresh(run, count):
    """Return (seed, iteration) of so many reports that are not said again."""
    found = []
    while len(found) < count:
        report = run.step()
        if not report.get("again"):
            found.append((report["seed"], report["iteration"]))
    return found


def test_seeds_train_one_after_another_stage_by_stage(runs):
    """Each goes on from its own checkpoint where it had stopped."""
    assert _fresh(runs(), len(ORDER)) == ORDER


def test_every_seed_keeps_its_own_checkpoints(runs, tmp_path):
    """Those of seed 0 lie where a trial of one seed has them."""
    _fresh(runs(), 4)

    folders = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("iteration-*"))
    assert folders == [
        "checkpoints/iteration-000001",
        "checkpoints/iteration-000002",
        "checkpoints/seed-1/iteration-000001",
        "checkpoints/seed-1/iteration-000002",
    ]


@pytest.mark.parametrize("done", range(1, len(ORDER)))
def test_a_lost_process_is_taken_up_wherever_it_was(runs, done):
    """Every seed's newest checkpoint is said again; then the order goes on."""
    _fresh(runs(), done)
    seeds = {seed for seed, _ in ORDER[:done]}

    run = runs()
    again = [run.step() for _ in seeds]

    assert {report["seed"] for report in again if report["again"]} == seeds
    assert _fresh(run, len(ORDER) - done) == ORDER[done:]


def test_a_crashed_seed_is_left_out(runs):
    """Its failure names it; the others go on."""
    run = runs(crash=(1,))
    _fresh(run, 2)

    failed = run.step()

    assert (failed["seed"], failed["failure"]) == (1, "OSError: seed 1 cannot begin")
    assert _fresh(run, 4) == [(0, 3), (2, 1), (2, 2), (2, 3)]


def test_a_seed_that_crashed_earlier_is_not_begun(runs):
    """The search tells which."""
    assert _fresh(runs(lost=(1,)), 3) == [(0, 1), (0, 2), (0, 3)]


def test_training_seeds_differ_and_depend_on_the_experiments(tiny):
    """The 0th is its own; every setting gets the same others."""
    experiment = tiny()
    wider = experiment.with_settings({"model.hidden_dim": 4})

    seeds = [with_training_seed(experiment, index).seed for index in range(20)]

    assert seeds[0] == experiment.seed
    assert len(set(seeds)) == 20
    assert seeds == [with_training_seed(wider, index).seed for index in range(20)]
    assert max(seeds) < 2**31
