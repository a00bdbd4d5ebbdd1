"""The record as Tune's source of settings."""

from __future__ import annotations

import pickle

from ray.tune.search import Searcher

from biomarl_tune.search.conductor import Conductor
from biomarl_tune.search.searcher import StudySearcher


def test_it_hands_out_recorded_trials_until_there_are_no_more(study):
    """Each is in the record before Tune has it."""
    searcher = StudySearcher(Conductor(study, ()))

    configs = [searcher.suggest(f"id{i}") for i in range(6)]

    assert [config["trial"]["number"] for config in configs] == [0, 1, 2, 3, 4, 5]
    assert [trial.state for trial in study.trials()] == ["RUNNING"] * 6
    assert searcher.suggest("id6") == Searcher.FINISHED


def test_there_is_nothing_to_pickle(study):
    """Tune's snapshots of it hold no state, so nothing in them can be stale or run."""
    searcher = StudySearcher(Conductor(study, ()))

    assert searcher.__getstate__() == {}
    assert b"Conductor" not in pickle.dumps(searcher)
