"""What can be asked of a finished search: ablation, other worlds, comparison, report, replay."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.console import Console

from biomarl_tune.analysis.ablation import WHOLE, ablate, ablation_lines, ablation_summary
from biomarl_tune.analysis.animation import write_gif
from biomarl_tune.analysis.comparison import (
    compare_runs,
    comparison_data,
    comparison_lines,
    evaluated,
)
from biomarl_tune.analysis.contenders import DEFAULTS, contender_name
from biomarl_tune.analysis.evaluation import Stage, best_trials, trained_checkpoint
from biomarl_tune.analysis.replay import record_checkpoint, replay_page
from biomarl_tune.analysis.report import write_report
from biomarl_tune.analysis.robustness import (
    parse_axes,
    robustness_lines,
    robustness_summary,
    varied_names,
    vary,
)
from biomarl_tune.analysis.trials import load_table, write_table
from biomarl_tune.errors import InputError, NoUsableTrialError
from biomarl_tune.output import (
    print_csv,
    print_grid,
    print_json,
    print_lines,
    records,
    refuse_both,
    shown_bounds,
)
from biomarl_tune.search.study import Study


def print_ablation(
    run_dir: Path, seeds: int | None, episodes: int | None, *, as_json: bool, as_csv: bool
) -> None:
    """Replay a run's winner with each bio part off, and print what it loses.

    Raises:
        InputError: no run directory, or it was not evaluated.
    """
    refuse_both(as_json=as_json, as_csv=as_csv)
    with Study.open(run_dir) as study:
        number = evaluated(study).winner.number
        checkpoint = trained_checkpoint(study, number)
        table = ablate(checkpoint, number, _stage(study, seeds, episodes), _say())
        write_table(table, study.directory.table("ablation"))
        write_report(study)
        summary = ablation_summary(table, seed=study.spec.seed)
    if as_json:
        lines = ablation_lines(summary)
        print_json({"number": number, "parts": records(summary), "words": lines})
        return
    if as_csv:
        print_csv(summary)
        return
    rows = [
        (
            f"{row.off} off",
            shown_bounds(row.iqm, row.iqm_low, row.iqm_high),
            "" if row.off == WHOLE else shown_bounds(row.loss, row.loss_low, row.loss_high),
            "" if row.off == WHOLE else f"{row.share:.0%}",
        )
        for row in summary.itertuples()
    ]
    print_grid((contender_name(number), "return", "lost", "share"), rows)
    print_lines(ablation_lines(summary))


def print_robustness(  # noqa: PLR0913 - these are the options of a command
    run_dir: Path,
    varied: Sequence[str],
    top: int | None,
    seeds: int | None,
    episodes: int | None,
    *,
    greedy: bool,
    as_json: bool,
    as_csv: bool,
) -> None:
    """Replay a run's best trials and the defaults in other worlds, and print the matrix.

    Raises:
        InputError: no run directory, it was not evaluated, or a variation cannot be read.
    """
    refuse_both(as_json=as_json, as_csv=as_csv)
    axes = parse_axes(varied)
    with Study.open(run_dir) as study:
        verdict = evaluated(study)
        ranked = sorted(
            (c.number for c in verdict.contenders if c.number >= 0),
            key=lambda number: number != verdict.winner.number,
        )
        numbers = [*ranked[: top or study.spec.evaluation.top], DEFAULTS]
        checkpoints = {number: trained_checkpoint(study, number) for number in numbers}
        stage = _stage(study, seeds, episodes, greedy=greedy)
        table = vary(checkpoints, axes, stage, _say())
        write_table(table, study.directory.table("robustness"))
        write_report(study)
        summary = robustness_summary(table, seed=study.spec.seed)
    if as_json:
        print_json({"worlds": records(summary), "words": robustness_lines(summary)})
        return
    if as_csv:
        print_csv(summary)
        return
    names = varied_names(summary)
    rows = [
        (
            contender_name(row["number"]),
            *(str(row[name]) for name in names),
            shown_bounds(row["iqm"], row["low"], row["high"], ".0f"),
            f"{row['kept']:.0%}",
        )
        for row in summary.to_dict("records")
    ]
    print_grid(("", *names, "return", "kept"), rows)
    print_lines(["kept: the return of an acting agent, as a share of that in the trained world"])
    print_lines(robustness_lines(summary))


def print_comparison(
    first: Path, second: Path, seeds: int | None, episodes: int | None, *, as_json: bool
) -> None:
    """Replay the winners of two runs on common held-out seeds and print which is better.

    Raises:
        InputError: no run directory, or one that was not evaluated.
    """
    with Study.open(first, read_only=True) as left, Study.open(second, read_only=True) as right:
        chosen = [_stage(study, seeds, episodes) for study in (left, right)]
        stage = Stage(
            top=1,
            seeds=max(stage.seeds for stage in chosen),
            episodes_per_seed=max(stage.episodes_per_seed for stage in chosen),
        )
        found = compare_runs(left, right, stage, _say())
    if as_json:
        print_json(comparison_data(found))
        return
    print_lines(comparison_lines(found))
    rows = [(name, _short(a), _short(b)) for name, (a, b) in found.settings.items()]
    if rows:
        print_grid(("setting", found.first.run, found.second.run), rows)
    else:
        print_lines(["Both have the same settings."])


def print_report(run_dir: Path) -> None:
    """Write a run's report.html and say where it is.

    Raises:
        InputError: no run directory.
    """
    with Study.open(run_dir, read_only=True) as study:
        print_lines([f"The report is in {write_report(study)}"])


def write_replay(
    source: Path, html: Path | None, gif: Path | None, *, seed: int, episodes: int, greedy: bool
) -> None:
    """Record episodes of a checkpoint, or of a run's winner, and write a page that plays them.

    Args:
        source: a checkpoint or a run directory.
        html: the page; replay.html in the run directory, or here, where neither file is named.
        gif: an animation of the first episode.
        seed: held-out seed, counted from 0.
        episodes: how many of that seed.
        greedy: take the likeliest moves instead of sampling as in training.

    Raises:
        InputError: it is neither, or a file cannot be written.
        CheckpointError: the checkpoint is damaged.
    """
    checkpoint, title, place = _checkpoint_in(source)
    recordings = record_checkpoint(checkpoint, seed=seed, episodes=episodes, greedy=greedy)
    if html is None and gif is None:
        html = place / "replay.html"
    written = [path for path in (html, gif) if path is not None]
    if html is not None:
        try:
            html.write_text(replay_page(recordings, title=title), encoding="utf-8")
        except OSError as error:
            msg = f"{html}: cannot be written ({error.strerror}); choose another --html"
            raise InputError(msg) from None
    if gif is not None:
        write_gif(recordings, gif)
    made = ", ".join(str(int(recording.delivered.sum())) for recording in recordings)
    print_lines([f"{title}: {made} deliveries.", *(f"Written: {path}" for path in written)])


def _checkpoint_in(source: Path) -> tuple[Path, str, Path]:
    """Return the checkpoint that is meant, what it is called, and where its page goes."""
    if (source / "manifest.json").is_file():
        return source, f"{source.parent.parent.name}/{source.name}", Path()
    if not (source / "study.db").is_file():
        msg = f"{source}: is neither a checkpoint (iteration-…) nor a run directory; give one"
        raise InputError(msg)
    with Study.open(source, read_only=True) as study:
        if load_table(study.directory, "evaluation").empty:
            found = best_trials(study, 1)
            if not found:
                msg = f"{source}: no trial left a checkpoint to replay; see biomarl-tune trials"
                raise NoUsableTrialError(msg)
            number = found[0].number
        else:
            number = evaluated(study).winner.number
        title = f"{study.spec.name}, trial {number}"
        return trained_checkpoint(study, number), title, source


def _stage(study: Study, seeds: int | None, episodes: int | None, *, greedy: bool = False) -> Stage:
    planned = study.spec.evaluation
    for name, value in {"--seeds": seeds, "--episodes": episodes}.items():
        if value is not None and value < 1:
            msg = f"{name}: must be at least 1, got {value}"
            raise InputError(msg)
    return Stage(
        planned.top, seeds or planned.seeds, episodes or planned.episodes_per_seed, greedy=greedy
    )


def _say() -> partial[None]:
    return partial(Console(stderr=True).print, highlight=False, markup=False)


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
