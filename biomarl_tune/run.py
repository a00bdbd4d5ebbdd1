"""A search from its file to its verdict, with either engine."""

from __future__ import annotations

import contextlib
import importlib
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from biomarl_tune.chatter import chatter_to, tell
from biomarl_tune.errors import EngineError, NoUsableTrialError, StoppedError
from biomarl_tune.interruption import Interruption
from biomarl_tune.preflight import available_cpus, check_cpus, check_engine, most_cpus
from biomarl_tune.progress import Progress
from biomarl_tune.search.conductor import Conductor
from biomarl_tune.search.directory import RunDirectory, fresh_name
from biomarl_tune.search.extension import extend
from biomarl_tune.search.progress_table import ProgressTable
from biomarl_tune.search.spec import SearchSpec, parse_spec
from biomarl_tune.search.study import Study
from biomarl_tune.search.tensorboard import TensorBoard
from biomarl_tune.search.yaml_file import read_file

if TYPE_CHECKING:
    from biomarl_tune.conclusion import SearchResult


@dataclass(frozen=True)
class Search:
    """A checked search space and the text it was read from.

    Example:
        >>> from biomarl_tune import Search
        >>> search = Search.load("tiny.yaml")
        >>> search.spec.search.trials
        2
        >>> result = search.run("results", engine="local")  # doctest: +ELLIPSIS
        search tiny: 2 trials → results/tiny...
        >>> result.trials["state"].tolist()
        ['COMPLETE', 'COMPLETE']
    """

    spec: SearchSpec
    text: str

    @classmethod
    def load(cls, path: str | Path, *, name: str | None = None, seed: int | None = None) -> Search:
        """Read and check a search space.

        Args:
            path: the YAML file.
            name: of the run, in place of the file's.
            seed: of the search, in place of the file's.

        Raises:
            InputError: ``file:line: key: problem, value; remedy``.
        """
        text = read_file(Path(path))
        return cls(parse_spec(text, str(path), name=name, seed=seed), text)

    def run(
        self, results: str | Path = "results", *, fresh: bool = False, engine: str = "auto"
    ) -> SearchResult:
        """Run the search, replay the best trials on held-out seeds, and print the verdict.

        Args:
            results: the folder that holds the runs.
            fresh: take the next free name where there is such a run.
            engine: ``ray``, ``local`` (no Ray, one trial at a time), or ``auto``: Ray where it
                can start.

        Raises:
            InputError: the engine is unknown, or a trial would need more CPUs than there are.
            RunExistsError: there is a run of that name, and not ``fresh``.
            NoUsableTrialError: no trial can be called best.
            StoppedError: a signal came; the message says how to go on.
        """
        check_engine(engine)
        check_cpus(self.spec)
        spec = self.spec
        if fresh:
            name = fresh_name(Path(results), spec.name)
            spec = spec.model_copy(update={"name": name})
        with Study.create(Path(results), spec, self.text) as study:
            return _run(study, engine)


def resume_run(run_dir: str | Path, *, engine: str = "auto") -> SearchResult:
    """Go on with a search where it was stopped, and finish it.

    Raises:
        InputError: there is no run directory.
        UnsafeError: another process runs it, or its record or its spec were changed.
    """
    check_engine(engine)
    with Study.open(Path(run_dir)) as study:
        check_cpus(study.spec)
        study.resume()
        return _run(study, engine)


def extend_run(
    run_dir: str | Path, *, trials: str = "", minutes: str = "", engine: str = "auto"
) -> SearchResult:
    """Ask for more of a search, and run that; see `biomarl_tune.search.extension`.

    Args:
        run_dir: the run; changed bounds of ranges in its spec.yaml are taken over.
        trials: how many in all (``44``), or how many more (``+20``).
        minutes: of the budget, likewise.
        engine: as of `Search.run`.

    Raises:
        InputError: there is no run directory, nothing to extend, or an amount that cannot be.
        UnsafeError: spec.yaml asks for another search, or another process runs this one.
    """
    check_engine(engine)
    extend(RunDirectory(Path(run_dir)), trials=trials, minutes=minutes)
    return resume_run(run_dir, engine=engine)


def _run(study: Study, engine: str) -> SearchResult:
    spec = study.spec
    with chatter_to(study.directory.log) as console:
        tell(console, f"search {spec.name}: {spec.search.trials} trials → {study.directory.path}")
        objective = spec.objective[0]
        progress = Progress(
            console,
            spec.name,
            objective.metric,
            objective.mode,
            spec.search.trials,
            spec.stopping.max_iterations,
        )
        events = TensorBoard(study.directory.trial, objective.metric)
        conductor = Conductor(study, (progress, events, ProgressTable(study)))
        progress.is_stopping = lambda: conductor.interrupted
        study.directory.interrupt.unlink(missing_ok=True)
        with Interruption(conductor.interrupt) as listening:
            try:
                with progress:
                    if conductor.work_left:
                        _conduct(conductor, engine, listening, console)
            finally:
                events.close()
                _write_tables(study)
            listening.at_once()
            if listening.signal is None:
                return _concluded(conductor, console)
        raise _stopped(study, listening.exit_signal)


def _concluded(conductor: Conductor, console: Console) -> SearchResult:
    """Replay the best trials and tell the verdict, where the search went to its end."""
    study = conductor.study
    if conductor.failure is not None:
        raise conductor.failure
    if conductor.hopeless:
        msg = (
            f"the first trials all failed: {conductor.hopeless}; "
            f"the traceback is in {study.directory.trial(0) / 'error.txt'}"
        )
        raise NoUsableTrialError(msg)
    from biomarl_tune.analysis.evaluation import Stage
    from biomarl_tune.conclusion import conclude, told

    planned = study.spec.evaluation
    result = conclude(study, Stage(planned.top, planned.seeds, planned.episodes_per_seed), console)
    console.print()
    for line in told(study, result):
        tell(console, line)
    return result


def _write_tables(study: Study) -> None:
    from biomarl_tune.analysis.trials import write_tables

    write_tables(study)


def _stopped(study: Study, number: int) -> StoppedError:
    return StoppedError(f"stopped; go on with: biomarl-tune resume {study.directory.path}", number)


def _conduct(conductor: Conductor, engine: str, listening: Interruption, console: Console) -> None:
    """Run the trials with the engine, or with the local one where Ray cannot start."""
    if engine == "local":
        _conduct_serially(conductor)
        return
    from biomarl_tune.search.cluster import ray_started

    study = conductor.study
    wanted = study.spec.search.concurrency
    concurrency = available_cpus() if wanted == "auto" else wanted
    _import_meanwhile("biomarl_tune.search.tuner")
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(ray_started(most_cpus(study.spec, concurrency)))
        except EngineError as error:
            if engine == "ray":
                raise
            tell(console, f"{error}; going on without it, one trial at a time")
            _conduct_serially(conductor)
            return
        listening.__enter__()  # Ray has put its own handlers in
        from biomarl_tune.search.tuner import fit

        fit(conductor, concurrency, study.directory.new_attempt())


def _conduct_serially(conductor: Conductor) -> None:
    from biomarl_tune.search.serial import run_serially

    run_serially(conductor)


def _import_meanwhile(module: str) -> None:
    """Import in a thread, while Ray starts: seconds of waiting, most of them."""
    threading.Thread(target=importlib.import_module, args=(module,), daemon=True).start()
