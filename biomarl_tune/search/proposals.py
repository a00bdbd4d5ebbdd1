"""The next settings of a search, as a function of its record alone."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, RandomSampler, TPESampler
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from biomarl_tune.search.space import Dimension, active, plain, suggest
from biomarl_tune.search.spec import SearchSpec
from biomarl_tune.search.trial import Trial

DIRECTIONS = {"max": StudyDirection.MAXIMIZE, "min": StudyDirection.MINIMIZE}
REDRAWS = 20


class Proposals:
    """Proposes settings from the trials so far.

    Holds an Optuna study in memory that follows the record, since the samplers want one. A trial
    that failed, or that lies outside the space (the defaults may, and so may trials from before
    a space was narrowed), is left out of it. So a proposal depends on the spec, its number and
    the record, whether the process lived through that record or has just read it.
    """

    def __init__(self, spec: SearchSpec) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._spec = spec
        self._distributions = {n: distribution(d) for n, d in spec.space.items()}
        self._base = spec.experiment.flat()
        directions = [DIRECTIONS[objective.mode] for objective in spec.objective]
        self._memory = InMemoryStorage()
        self._study = optuna.create_study(storage=self._memory, directions=directions)
        self._ids: dict[int, int] = {}  # Optuna's id here by the trial's number
        self._ended: set[int] = set()
        self._taken: set[str] = set()

    def propose(
        self, number: int, trials: Mapping[int, Trial]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return settings that no trial had yet, and what the sampler wants remembered of them.

        A small space may have none left; then settings repeat.

        Args:
            number: of the trial to be proposed; it alone and the spec's seed set the random state.
            trials: all before it, by number.
        """
        self._follow(trials)
        for redraw in range(REDRAWS):
            asked = self._ask(_seed(self._spec.seed, number, redraw), random=redraw > 0)
            settings = suggest(asked, self._spec.space, self._base)
            if _key(settings) not in self._taken or redraw == REDRAWS - 1:
                break
            self._memory.set_trial_state_values(asked._trial_id, TrialState.FAIL)  # noqa: SLF001
        self._ids[number] = asked._trial_id  # noqa: SLF001 - Optuna's storages speak in ids
        self._taken.add(_key(settings))
        return settings, dict(self._memory.get_trial(self._ids[number]).system_attrs)

    def _ask(self, seed: int, *, random: bool) -> optuna.Trial:
        self._study.sampler = RandomSampler(seed=seed) if random else self._sampler(seed)
        return self._study.ask()

    def _sampler(self, seed: int) -> BaseSampler:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            match self._spec.search.sampler:
                case "random":
                    return RandomSampler(seed=seed)
                case "gp":
                    return GPSampler(seed=seed, deterministic_objective=False)
                case "cmaes":
                    return CmaEsSampler(seed=seed, warn_independent_sampling=False)
            # a space with conditions falls into groups that are modelled apart
            conditions = any(dimension.when for dimension in self._spec.space.values())
            group = conditions and len(self._spec.objective) == 1
            return TPESampler(seed=seed, constant_liar=True, group=group)

    def _follow(self, trials: Mapping[int, Trial]) -> None:
        """Bring the study in memory up to the record."""
        for number in sorted(trials.keys() - self._ids.keys()):
            frozen = self._frozen(trials[number])
            study_id = self._study._study_id  # noqa: SLF001
            self._ids[number] = self._memory.create_new_trial(study_id, frozen)
            self._taken.add(_key(trials[number].settings))
            if frozen.state == TrialState.FAIL:
                self._ended.add(number)
        for number in sorted(trials.keys() - self._ended):
            if trials[number].finished:
                self._end(trials[number])
                self._ended.add(number)

    def _frozen(self, trial: Trial) -> FrozenTrial:
        fits = _fits(trial.settings, self._spec.space, self._base)
        names = trial.settings if fits else ()
        return create_trial(
            state=TrialState.RUNNING if fits else TrialState.FAIL,
            params={name: plain(trial.settings[name]) for name in names},
            distributions={name: self._distributions[name] for name in names},
            system_attrs=trial.system,
        )

    def _end(self, trial: Trial) -> None:
        trial_id = self._ids[trial.number]
        if trial.state == "FAILED" or trial.last is None:
            self._memory.set_trial_state_values(trial_id, TrialState.FAIL)
            return
        values = trial.last.values(self._spec.objective)
        if trial.state == "COMPLETE":
            self._memory.set_trial_state_values(trial_id, TrialState.COMPLETE, values)
        elif len(values) == 1:
            self._memory.set_trial_intermediate_value(trial_id, trial.iteration, values[0])
            self._memory.set_trial_state_values(trial_id, TrialState.PRUNED, values)
        # with two objectives Optuna cannot rank a pruned trial: left running, it counts as poor


def distribution(dimension: Dimension) -> BaseDistribution:
    """Return Optuna's form of a dimension."""
    if dimension.kind == "choice":
        return CategoricalDistribution([plain(choice) for choice in dimension.choices])
    low, high, log = dimension.low, dimension.high, dimension.log
    if dimension.kind in {"int", "logint"}:
        return IntDistribution(int(low), int(high), log=log, step=int(dimension.step or 1))
    return FloatDistribution(low, high, log=log, step=dimension.step)


def _fits(
    settings: Mapping[str, Any], space: Mapping[str, Dimension], base: Mapping[str, Any]
) -> bool:
    inside = all(name in space and space[name].contains(value) for name, value in settings.items())
    return inside and active(space, settings, base).keys() == settings.keys()


def _seed(seed: int, number: int, redraw: int) -> int:
    return int(np.random.SeedSequence([seed, number, redraw]).generate_state(1)[0])


def _key(settings: Mapping[str, Any]) -> str:
    return json.dumps(settings, sort_keys=True)
