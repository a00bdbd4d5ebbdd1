"""The record as Ray Tune's source of settings."""

from __future__ import annotations

from typing import Any

from ray.tune.search import Searcher

from biomarl_tune.search.conductor import Conductor


class StudySearcher(Searcher):
    """Hand out the conductor's tasks; what it knows is in the record, so it saves nothing."""

    def __init__(self, conductor: Conductor) -> None:
        super().__init__()
        self._conductor = conductor

    def set_search_properties(self, *_: Any, **__: Any) -> bool:
        """Accept Tune's metric and mode; the spec says which they are."""
        return True

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Return the config of the next trial, which is recorded by now."""
        task = self._conductor.next_task()
        return Searcher.FINISHED if task is None else task.config

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, *, error: bool = False
    ) -> None:
        """Do nothing: the scheduler has told the conductor, with the trial's number."""

    def __getstate__(self) -> dict[str, Any]:
        """Give Tune nothing to pickle, and so nothing to unpickle."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: the record is saved already."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing: a resumed search reads the record."""
