"""The evaluation stage: what checkpoints return on seeds that no training ever saw."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from biomarl_tune.analysis.contenders import DEFAULTS, RANDOM, contender_name
from biomarl_tune.brain.policy import BioPolicy
from biomarl_tune.errors import NoUsableTrialError, StorageError
from biomarl_tune.experiment import Experiment
from biomarl_tune.ppo.checkpoint import latest_checkpoint, load_weights
from biomarl_tune.ppo.episodes import play
from biomarl_tune.ppo.local import LocalTrainer
from biomarl_tune.ppo.seeds import with_training_seed
from biomarl_tune.ppo.trial import Trial as TrialPlan
from biomarl_tune.ppo.trial import TrialRun
from biomarl_tune.search.study import Study
from biomarl_tune.search.trial import Trial

HELD_OUT = 2**31  # training seeds are below (experiment.seed), so these are disjoint from them

_log = logging.getLogger(__name__)

Say = Callable[[str], None]


@dataclass(frozen=True)
class Stage:
    """How an evaluation is done."""

    top: int  # trials replayed
    seeds: int  # held-out ones
    episodes_per_seed: int
    greedy: bool = False  # take the likeliest moves instead of sampling as in training


def evaluate(
    run_dir: str | Path,
    *,
    top: int = 3,
    seeds: int = 10,
    episodes: int = 3,
    greedy: bool = False,
) -> pd.DataFrame:
    """Replay a run's best trials, the defaults and a random policy on held-out seeds.

    Needs no cluster and no training workers; the run directory's own table stays as it is.

    Args:
        run_dir: the run.
        top: trials replayed.
        seeds: held-out seeds.
        episodes: whole episodes a seed.
        greedy: take the likeliest moves instead of sampling as in training.

    Returns:
        As ``load_evaluation`` describes.

    Raises:
        InputError: there is no such run.
        NoUsableTrialError: no trial left a checkpoint to replay.

    Example:
        >>> from biomarl_tune import evaluate
        >>> replayed = evaluate("results/tiny", top=1, seeds=5, episodes=1)
        >>> replayed.groupby("number")["return"].count().tolist()  # random, defaults, the best
        [5, 5, 5]
    """
    with Study.open(Path(run_dir)) as study:
        return evaluate_study(study, Stage(top, seeds, episodes, greedy=greedy), _log.info)


def evaluate_study(study: Study, stage: Stage, say: Say) -> pd.DataFrame:
    """Replay the best trials, the defaults and a random policy on the same held-out seeds.

    The defaults are trained first, outside the study, for as many iterations as the winner,
    unless a COMPLETE trial ran exactly them.

    Args:
        study: the record.
        stage: how much is replayed.
        say: is told what takes a while.

    Returns:
        One row a (number, seed, episode) with ``return`` (colony, reward), ``deliveries``,
        ``length`` (steps) and ``breakthroughs``; number -1 is the defaults, -2 a random policy.
        With several training seeds a trial, every one of them is replayed, and has such rows
        (``training_seed``).

    Raises:
        NoUsableTrialError: no trial left a checkpoint to replay.
        CheckpointError: a checkpoint is damaged.
    """
    chosen = best_trials(study, stage.top)
    if not chosen:
        msg = f"{study.directory.path}: no trial left a usable checkpoint; see biomarl-tune trials"
        raise NoUsableTrialError(msg)
    frames = []
    for trial in chosen:
        say(f"replaying trial {trial.number} on {stage.seeds} held-out seeds")
        frames.append(_replay_seeds(study.checkpoints(trial.number), trial.number, stage))
    means = [frame["return"].mean() for frame in frames]
    winner = chosen[means.index(max(means))]
    defaults = defaults_checkpoints(study, winner.iteration, say)
    frames.append(_replay_seeds(defaults, DEFAULTS, stage))
    frames.append(replay_random(study.spec.experiment, stage).assign(training_seed=0))
    return pd.concat(frames, ignore_index=True)


def best_trials(study: Study, top: int) -> list[Trial]:
    """Return the best trials with a checkpoint: COMPLETE ones, then PRUNED ones, by value."""
    objective = study.spec.objective[0]
    sign = -1.0 if objective.mode == "max" else 1.0

    def rank(trial: Trial) -> tuple[bool, float]:
        assert trial.last is not None
        return trial.state != "COMPLETE", sign * trial.last.value(objective.metric)

    usable = [
        trial
        for trial in study.trials()
        if trial.state in {"COMPLETE", "PRUNED"} and trial.last and trial.last.checkpoint
    ]
    return sorted(usable, key=rank)[:top]


def replay_checkpoint(checkpoint: Path, number: int, stage: Stage) -> pd.DataFrame:
    """Replay one checkpoint; it holds all that is needed, settings included."""
    experiment, weights = load_weights(checkpoint)
    return replay_policy(experiment, brain(experiment, weights), number, stage)


def brain(experiment: Experiment, weights: dict[str, Tensor]) -> BioPolicy:
    """Build the policy of some settings, which need not be those that trained the weights."""
    policy = BioPolicy(experiment.env, experiment.model)
    policy.load_state_dict(weights)
    return policy


def replay_random(experiment: Experiment, stage: Stage) -> pd.DataFrame:
    """Replay a policy that chooses every move with the same probability."""
    policy = BioPolicy(experiment.env, experiment.model)
    for weight in policy.parameters():
        torch.nn.init.zeros_(weight)
    return replay_policy(experiment, policy, RANDOM, stage)


def replay_policy(
    experiment: Experiment, policy: BioPolicy, number: int, stage: Stage, *, idle: int = 0
) -> pd.DataFrame:
    """Play a policy on the held-out seeds.

    Args:
        experiment: whose world is played in.
        policy: built for that world.
        number: goes into the table.
        stage: the seeds and how moves are chosen.
        idle: agents that stand still.
    """
    pairs = [(s, e) for s in range(stage.seeds) for e in range(stage.episodes_per_seed)]
    torch.set_num_threads(1)  # the arrays are small: a second thread brings nothing
    played = play(
        experiment.env,
        policy,
        [(HELD_OUT + s, e) for s, e in pairs],
        greedy=stage.greedy,
        idle=idle,
    )
    return pd.DataFrame(
        {
            "number": number,
            "seed": [seed for seed, _ in pairs],
            "episode": [episode for _, episode in pairs],
            "return": played.returns,
            "deliveries": played.deliveries,
            "length": played.length,
            "breakthroughs": played.breakthroughs,
        }
    )


def _replay_seeds(checkpoints: dict[int, Path], number: int, stage: Stage) -> pd.DataFrame:
    """Replay the checkpoints of a setting, by training seed."""
    frames = [
        replay_checkpoint(checkpoint, number, stage).assign(training_seed=seed)
        for seed, checkpoint in checkpoints.items()
    ]
    return pd.concat(frames, ignore_index=True)


def defaults_checkpoints(study: Study, iterations: int, say: Say) -> dict[int, Path]:
    """Return checkpoints of the fixed settings and defaults, by training seed.

    They are trained where there are none, with as many seeds as a trial of the search.
    """
    if trial := _defaults_trial(study):
        return study.checkpoints(trial.number)
    seeds = range(study.spec.search.seeds_per_trial)
    return {seed: _trained_defaults(study, iterations, seed, say) for seed in seeds}


def _trained_defaults(study: Study, iterations: int, seed: int, say: Say) -> Path:
    plan = TrialPlan(
        number=DEFAULTS,
        directory=study.directory.defaults.absolute(),
        max_iterations=iterations,
        seed=seed,
    )
    found = latest_checkpoint(plan.checkpoints)
    if found is not None and found.name == f"iteration-{iterations:06d}":
        return found
    say(f"training the defaults for {iterations} iterations, to compare with")
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    run = TrialRun(plan, LocalTrainer(with_training_seed(study.spec.experiment, seed)))
    report = run.step()
    while "iteration" in report and report["iteration"] < iterations:
        report = run.step()
    if "storage" in report:
        raise StorageError(str(report["storage"]))
    if "failure" in report:
        msg = f"the defaults cannot be trained: {report['failure']}; mend the fixed settings"
        raise NoUsableTrialError(msg)
    return plan.directory / str(report["checkpoint"])


def trained_checkpoint(study: Study, number: int) -> Path:
    """Return the checkpoint that stands for a number in a run's evaluation.

    Args:
        study: the record.
        number: of a trial, or -1 for the defaults.

    Raises:
        NoUsableTrialError: there is none.
    """
    if number == DEFAULTS:
        trial = _defaults_trial(study)
    else:
        trial = next((t for t in study.trials() if t.number == number), None)
    if trial and trial.last and trial.last.checkpoint:
        return checkpoint_of(study, trial)
    found = latest_checkpoint(study.directory.defaults / "checkpoints")
    if number != DEFAULTS or found is None:
        path = study.directory.path
        msg = f"{path}: no checkpoint of {contender_name(number)}; run biomarl-tune evaluate {path}"
        raise NoUsableTrialError(msg)
    return found


def _defaults_trial(study: Study) -> Trial | None:
    """Return the COMPLETE trial that ran exactly the defaults, if one did."""
    base = study.spec.experiment.flat()
    for trial in study.trials():
        same = all(base[name] == value for name, value in trial.settings.items())
        if same and trial.state == "COMPLETE" and trial.last and trial.last.checkpoint:
            return trial
    return None


def checkpoint_of(study: Study, trial: Trial) -> Path:
    """Return the newest checkpoint of a trial that has one."""
    assert trial.last is not None
    return study.directory.trial(trial.number) / trial.last.checkpoint
