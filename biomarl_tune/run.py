"""A search from its file to its verdict, with either engine."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from rich.console import Console

from biomarl_tune.analysis.evaluation import Stage, evaluate_study
from biomarl_tune.analysis.trials import load_trials, write_table, write_tables
from biomarl_tune.analysis.verdict import Verdict, verdict_lines, verdict_of
from biomarl_tune.errors import EngineError, InputError, NoUsableTrialError, StoppedError
from biomarl_tune.interruption import Interruption
from biomarl_tune.progress import Progress
from biomarl_tune.search.conductor import Conductor
from biomarl_tune.search.directory import fresh_name
from biomarl_tune.search.serial import run_serially
from biomarl_tune.search.space import greatest
from biomarl_tune.search.spec import SearchSpec, parse_spec
from biomarl_tune.search.study import Study
from biomarl_tune.search.tensorboard import TensorBoard
from biomarl_tune.search.yaml_file import read_file

ENGINES = ("auto", "ray", "local")

_RUNNERS = "ppo.num_env_runners"


@dataclass(frozen=True)
class SearchResult:
    """What a search leaves behind, besides its run directory."""

    directory: Path
    verdict: Verdict
    trials: pd.DataFrame  # one row a trial
    evaluation: pd.DataFrame  # one row a (number, seed, episode)


@dataclass(frozen=True)
class Search:
    """A checked search space and the text it was read from.

    Example:
        >>> search = Search.load("search_spaces/smoke.yaml")
        >>> search.spec.search.trials
        4
        >>> result = search.run("results", engine="local")  # doctest: +SKIP
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


def evaluate_run(
    run_dir: str | Path,
    *,
    top: int | None = None,
    seeds: int | None = None,
    episodes: int | None = None,
    greedy: bool = False,
) -> SearchResult:
    """Repeat the evaluation stage of a run and return its verdict; nothing is printed.

    What is left out is as in the run's spec.

    Args:
        run_dir: the run.
        top: trials replayed.
        seeds: held-out seeds.
        episodes: whole episodes a seed.
        greedy: take the likeliest moves instead of sampling as in training.

    Raises:
        InputError: a number below 1, or no run directory.
    """
    for name, value in {"--top": top, "--seeds": seeds, "--episodes": episodes}.items():
        if value is not None and value < 1:
            msg = f"{name}: must be at least 1, got {value}"
            raise InputError(msg)
    with Study.open(Path(run_dir)) as study:
        planned = study.spec.evaluation
        stage = Stage(
            top or planned.top,
            seeds or planned.seeds,
            episodes or planned.episodes_per_seed,
            greedy=greedy,
        )
        return conclude(study, stage, Console(stderr=True))


def check_engine(engine: str) -> None:
    """Refuse an engine that there is not.

    Raises:
        InputError: it is none of auto, ray and local.
    """
    if engine not in ENGINES:
        msg = f"--engine: there is no engine {engine!r}; use {', '.join(ENGINES)}"
        raise InputError(msg)


def available_cpus() -> int:
    """Return the processors that this process may use."""
    return len(os.sched_getaffinity(0))


def check_cpus(spec: SearchSpec) -> None:
    """Refuse a search of which some trial could never be placed on this machine.

    Raises:
        InputError: naming the setting and what it may be.
    """
    check_runners(greatest(spec.space, spec.experiment.flat(), _RUNNERS))


def check_runners(runners: int) -> None:
    """Refuse more env runners than this machine has processors for, the trial's own left out.

    Raises:
        InputError: naming the setting and what it may be.
    """
    cpus = available_cpus()
    if runners + 1 > cpus:
        msg = (
            f"{_RUNNERS}: {runners} env runners and the trial itself need {runners + 1} CPUs, "
            f"this machine has {cpus}; use at most {cpus - 1}"
        )
        raise InputError(msg)


def _run(study: Study, engine: str) -> SearchResult:
    spec = study.spec
    with _chatter_to(study.directory.log) as console:
        console.print(f"search {spec.name}: {spec.search.trials} trials → {study.directory.path}")
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
        conductor = Conductor(study, (progress, events))
        study.directory.interrupt.unlink(missing_ok=True)
        listening = Interruption(conductor.interrupt)
        try:
            with listening, progress:
                if conductor.work_left:
                    _conduct(conductor, engine, listening, console)
        finally:
            events.close()
            write_tables(study)
        if listening.signal is not None:
            msg = f"stopped; go on with: biomarl-tune resume {study.directory.path}"
            raise StoppedError(msg, listening.exit_signal)
        if conductor.hopeless:
            msg = f"the first trials all failed: {conductor.hopeless}; see {study.directory.log}"
            raise NoUsableTrialError(msg)
        planned = spec.evaluation
        stage = Stage(planned.top, planned.seeds, planned.episodes_per_seed)
        result = conclude(study, stage, console)
        console.print()
        for line in verdict_lines(result.verdict):
            console.print(line, highlight=False, soft_wrap=True)
        console.print(f"Everything is in {study.directory.path}", highlight=False)
        return result


def _conduct(conductor: Conductor, engine: str, listening: Interruption, console: Console) -> None:
    """Run the trials with the engine, or with the local one where Ray cannot start."""
    if engine == "local":
        run_serially(conductor)
        return
    from biomarl_tune.search.tuner import fit, ray_started

    cpus = available_cpus()
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(ray_started(cpus))
        except EngineError as error:
            if engine == "ray":
                raise
            console.print(f"{error}; going on without it, one trial at a time")
            run_serially(conductor)
            return
        listening.__enter__()  # Ray has put its own handlers in
        study = conductor.study
        wanted = study.spec.search.concurrency
        concurrency = cpus if wanted == "auto" else wanted
        fit(conductor, concurrency, study.directory.new_attempt())


def conclude(study: Study, stage: Stage, console: Console) -> SearchResult:
    """Evaluate what a search has found, write the tables and return the verdict."""

    def say(text: str) -> None:
        console.print(text, highlight=False)

    evaluation = evaluate_study(study, stage, say)
    write_tables(study)
    write_table(evaluation, study.directory.table("evaluation"))
    verdict = verdict_of(study, evaluation)
    path = study.directory.path
    return SearchResult(path, verdict, load_trials(path), evaluation)


@contextlib.contextmanager
def _chatter_to(log: Path) -> Iterator[Console]:
    """Send what libraries print and log to a file; yield a console that still reaches the user."""
    if sys.stdout is not sys.__stdout__:  # a notebook or a test has its own
        yield Console()
        return
    _flush()
    out, err = os.dup(1), os.dup(2)
    handler = logging.FileHandler(log)
    logging.getLogger().addHandler(handler)
    try:
        with log.open("ab") as file, os.fdopen(os.dup(out), "w") as user:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
            yield Console(file=user)
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()
        _flush()
        for saved, number in ((out, 1), (err, 2)):
            os.dup2(saved, number)
            os.close(saved)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
