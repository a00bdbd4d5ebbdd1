"""The command line: a few lines a command; heavy imports wait until a command needs them."""

from __future__ import annotations

import contextlib
import errno
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from biomarl_tune.errors import BiomarlError, StorageError

app = typer.Typer(
    name="biomarl-tune",
    help="Find good settings for a bio-inspired multi-agent learner, and prove that they are good.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

_DISK_FAILED = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS}

Results = Annotated[Path, typer.Option("--results", help="Folder that holds the runs.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Csv = Annotated[bool, typer.Option("--csv", help="Print CSV instead of a table.")]
Seeds = Annotated[int | None, typer.Option(help="Held-out seeds; as in the spec.")]
Episodes = Annotated[int | None, typer.Option(help="Episodes a seed; as in the spec.")]
Engine = Annotated[str, typer.Option("--engine", help="auto, ray or local (no Ray).")]
RunDir = Annotated[Path, typer.Argument(metavar="RUN_DIR", help="A run, e.g. results/pheromone.")]


def _version(*, wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print("biomarl-tune", version("biomarl-tune"))
        raise typer.Exit


@app.callback()
def program(
    *,
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", help="Show warnings and progress in detail.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=lambda value: _version(wanted=value),
            is_eager=True,
            help="Show the version and exit.",
        ),
    ] = False,
) -> None:
    """Search, verify and look at settings of a bio-inspired multi-agent learner."""
    del version
    import logging

    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, format="%(message)s")


@app.command()
def run(
    spec: Annotated[Path, typer.Argument(metavar="SPEC", help="A search space in YAML.")],
    results: Results = Path("results"),
    name: Annotated[str, typer.Option(help="Name of the run; the spec's own by default.")] = "",
    *,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Take the next free name where there is such a run.")
    ] = False,
    engine: Engine = "auto",
    seed: Annotated[
        int | None, typer.Option(help="Seed of the search; the spec's own by default.")
    ] = None,
) -> None:
    """Run a search to its verdict.

    Example: biomarl-tune run search_spaces/pheromone.yaml
    """
    from biomarl_tune.preflight import check_run

    check_run(spec, results, name=name, seed=seed, fresh=fresh, engine=engine)
    from biomarl_tune.run import Search

    Search.load(spec, name=name or None, seed=seed).run(results, fresh=fresh, engine=engine)


@app.command()
def resume(run_dir: RunDir, engine: Engine = "auto") -> None:
    """Go on with a search that was stopped.

    Example: biomarl-tune resume results/pheromone
    """
    from biomarl_tune.preflight import check_engine, check_run_directory

    check_engine(engine)
    check_run_directory(run_dir)
    from biomarl_tune.run import resume_run

    resume_run(run_dir, engine=engine)


@app.command()
def extend(
    run_dir: RunDir,
    trials: Annotated[str, typer.Option(help="How many more (+20), or how many in all (44).")] = "",
    minutes: Annotated[str, typer.Option(help="Minutes of the budget, likewise.")] = "",
    engine: Engine = "auto",
) -> None:
    """Let a search go on beyond what it was to be, also after its end.

    Other bounds of ranges, written into the run's spec.yaml, are taken over; other choices make
    it another search. Trials outside the new bounds stay in the record and out of the proposals.

    Example: biomarl-tune extend results/pheromone --trials +20 --minutes +15
    """
    from biomarl_tune.preflight import check_engine, check_run_directory

    check_engine(engine)
    check_run_directory(run_dir)
    from biomarl_tune.run import extend_run

    extend_run(run_dir, trials=trials, minutes=minutes, engine=engine)


@app.command()
def doctor(run_dir: RunDir, *, json: Json = False) -> None:
    """Check a run directory; exit 0 if it is healthy, also when interrupted, and 3 if not.

    Example: biomarl-tune doctor results/pheromone
    """
    from biomarl_tune.doctor import print_examination

    if not print_examination(run_dir, as_json=json):
        raise typer.Exit(3)


@app.command()
def evaluate(
    run_dir: RunDir,
    top: Annotated[int | None, typer.Option(help="Trials replayed; as in the spec.")] = None,
    seeds: Seeds = None,
    episodes: Episodes = None,
    *,
    greedy: Annotated[bool, typer.Option("--greedy", help="Take the likeliest moves.")] = False,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUES",
            help="In other worlds: num_agents=10,60, grid_size=8x6x6, drop_agents=0.3; repeatable.",
        ),
    ] = None,
    json: Json = False,
    csv: Csv = False,
) -> None:
    """Replay the best trials on held-out seeds, next to the defaults and a random policy.

    Example: biomarl-tune evaluate results/pheromone --top 3 --seeds 20

    Example: biomarl-tune evaluate results/pheromone --vary num_agents=10,30,60 --vary
    drop_agents=0.3
    """
    from biomarl_tune.preflight import check_run_directory

    check_run_directory(run_dir)
    if vary:
        from biomarl_tune.inquiry import print_robustness

        print_robustness(
            run_dir, vary, top, seeds, episodes, greedy=greedy, as_json=json, as_csv=csv
        )
        return
    from biomarl_tune.reevaluation import print_evaluation

    print_evaluation(run_dir, top, seeds, episodes, greedy=greedy, as_json=json, as_csv=csv)


@app.command()
def ablate(
    run_dir: RunDir,
    seeds: Seeds = None,
    episodes: Episodes = None,
    *,
    json: Json = False,
    csv: Csv = False,
) -> None:
    """Replay the winner with pheromone, attention, messages or plasticity off.

    Example: biomarl-tune ablate results/pheromone --seeds 20
    """
    from biomarl_tune.preflight import check_run_directory

    check_run_directory(run_dir)
    from biomarl_tune.inquiry import print_ablation

    print_ablation(run_dir, seeds, episodes, as_json=json, as_csv=csv)


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(metavar="RUN_A", help="An evaluated run.")],
    second: Annotated[Path, typer.Argument(metavar="RUN_B", help="Another one.")],
    seeds: Seeds = None,
    episodes: Episodes = None,
    *,
    json: Json = False,
) -> None:
    """Replay the winners of two runs on the same held-out seeds and say which is better.

    Example: biomarl-tune compare results/pheromone results/pheromone-2
    """
    from biomarl_tune.preflight import check_run_directory

    check_run_directory(first)
    check_run_directory(second)
    from biomarl_tune.inquiry import print_comparison

    print_comparison(first, second, seeds, episodes, as_json=json)


@app.command()
def report(run_dir: RunDir) -> None:
    """Write report.html of a run: verdict, pictures, costs and decisions on one page.

    Example: biomarl-tune report results/pheromone
    """
    from biomarl_tune.preflight import check_run_directory

    check_run_directory(run_dir)
    from biomarl_tune.inquiry import print_report

    print_report(run_dir)


@app.command()
def replay(
    source: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT|RUN_DIR", help="A checkpoint, or a run's winner.")
    ],
    html: Annotated[Path | None, typer.Option(help="Page to write; replay.html if none.")] = None,
    gif: Annotated[Path | None, typer.Option(help="Animation of the first episode.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Held-out seed, from 0.")] = 0,
    episodes: Annotated[int, typer.Option(min=1, max=50, help="Episodes of that seed.")] = 1,
    *,
    greedy: Annotated[bool, typer.Option("--greedy", help="Take the likeliest moves.")] = False,
) -> None:
    """Write a page that plays an episode of the colony, and an animated GIF if wanted.

    Example: biomarl-tune replay results/pheromone --seed 1 --gif colony.gif
    """
    from biomarl_tune.inquiry import write_replay

    write_replay(source, html, gif, seed=seed, episodes=episodes, greedy=greedy)


@app.command()
def trials(
    run_dir: RunDir,
    sort: Annotated[str, typer.Option(help="Column to sort by; prefix - for descending.")] = "",
    state: Annotated[str, typer.Option(help="Only trials of this state, e.g. COMPLETE.")] = "",
    *,
    json: Json = False,
    csv: Csv = False,
) -> None:
    """List a run's trials, the best first.

    Example: biomarl-tune trials results/pheromone --state COMPLETE
    """
    from biomarl_tune.preflight import check_run_directory

    check_run_directory(run_dir)
    from biomarl_tune.listing import print_trials

    print_trials(run_dir, sort=sort, state=state, as_json=json, as_csv=csv)


@app.command()
def train(
    experiment: Annotated[
        Path | None, typer.Argument(metavar="[EXPERIMENT]", help="Settings in YAML.")
    ] = None,
    iterations: Annotated[int, typer.Option(min=1, help="Iterations to train.")] = 50,
    engine: Engine = "local",
    results: Results = Path("results"),
    name: Annotated[str, typer.Option(help="Name of the folder under results.")] = "train",
    setting: Annotated[
        list[str] | None, typer.Option("--set", help="NAME=VALUE over the file; repeatable.")
    ] = None,
    *,
    json: Json = False,
) -> None:
    """Train one experiment, without a search.

    Example: biomarl-tune train --iterations 20 --set env.pheromone_decay=0.6
    """
    from biomarl_tune.training import train_command

    train_command(
        experiment,
        iterations=iterations,
        engine=engine,
        directory=results / name,
        assignments=setting or [],
        as_json=json,
    )


@app.command()
def template(
    profile: Annotated[
        str, typer.Option(help="default (ours) or original (the original system's values).")
    ] = "default",
) -> None:
    """Print every setting with its value, meaning, unit and range, as YAML for `train`.

    Example: biomarl-tune template --profile original > experiment.yaml
    """
    from biomarl_tune.template import render

    print(render(profile), end="")


@app.command()
def check(
    spec: Annotated[Path, typer.Argument(metavar="SPEC", help="A search space in YAML.")],
    *,
    json: Json = False,
) -> None:
    """Check a search space without running it.

    Example: biomarl-tune check search_spaces/pheromone.yaml
    """
    from biomarl_tune.preflight import print_check

    print_check(spec, as_json=json)


@app.command()
def plan(
    spec: Annotated[Path, typer.Argument(metavar="SPEC", help="A search space in YAML.")],
    results: Results = Path("results"),
    name: Annotated[str, typer.Option(help="Name of the run; the spec's own by default.")] = "",
    *,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Take the next free name where there is such a run.")
    ] = False,
    engine: Engine = "auto",
    seed: Annotated[
        int | None, typer.Option(help="Seed of the search; the spec's own by default.")
    ] = None,
    json: Json = False,
) -> None:
    """Time a few iterations and tell what a search will cost: hours, steps, memory, disk.

    Example: biomarl-tune plan search_spaces/pheromone.yaml
    """
    from biomarl_tune.plan_lines import print_plan

    print_plan(spec, results, name=name, fresh=fresh, engine=engine, seed=seed, as_json=json)


def main() -> Any:
    """Run the program; the exit code tells how it ended (0, 2, 3, 4, 5, 130 or 143)."""
    try:
        app()
    except BiomarlError as error:
        _complain(str(error))
        sys.exit(error.exit_code)
    except OSError as error:
        if error.errno not in _DISK_FAILED:
            raise
        _complain(f"{error.filename}: {error.strerror}; free or mend the disk, then resume")
        sys.exit(StorageError.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


def _complain(text: str) -> None:
    with contextlib.suppress(OSError):  # the terminal may be gone
        print(f"biomarl-tune: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
