"""Ray itself: started or joined, and its processes warmed up. Imports nothing else that is slow."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from typing import Any

import ray

from biomarl_tune.errors import EngineError

_log = logging.getLogger(__name__)

_SWITCHES = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # TensorBoard and tables are written from the record
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # signals are the search's
    "TUNE_FORCE_TRIAL_CLEANUP_S": "5",  # for a trial's process to end before it is killed
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",  # nothing is read back from Tune's snapshots
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "OMP_NUM_THREADS": "1",  # one thread a trial, trials side by side
    # the processes that Ray starts ahead import what trials need, while Ray still starts; without
    # the second, it ends them in the moment when trials reserve their processors
    "RAY_preload_python_modules": "biomarl_tune.rllib.algorithm",
    "RAY_idle_worker_killing_time_threshold_ms": "60000",
}


@contextlib.contextmanager
def ray_started(cpus: int, address: str | None = None) -> Iterator[None]:
    """Start Ray, or join a cluster, and leave nothing behind.

    Args:
        cpus: of this machine that trials may use.
        address: of a running cluster; by default Ray is started here.

    Raises:
        EngineError: Ray cannot start.
    """
    for name, value in _SWITCHES.items():
        os.environ.setdefault(name, value)
    here: dict[str, Any] = {} if address else {"num_cpus": cpus, "include_dashboard": False}
    try:
        _start(address=address or "local", **here)
        yield
    finally:
        ray.shutdown()


def _start(*, again: bool = True, **arguments: Any) -> None:
    """Start Ray; once more where a busy machine was too slow for Ray's patience."""
    try:
        ray.init(log_to_driver=False, logging_level=logging.WARNING, **arguments)
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if again and "timed out" in reason:
            _log.warning("Ray is started once more: %s", reason)
            ray.shutdown()
            _start(again=False, **arguments)
            return
        msg = f"Ray cannot start: {reason}; try --engine local"
        raise EngineError(msg) from error
