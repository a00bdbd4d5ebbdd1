"""The sections of a report, each a function of what was found to HTML."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path

import pandas as pd

from biomarl_tune.analysis import findings, markup, plots
from biomarl_tune.analysis.ablation import ablation_lines, ablation_summary
from biomarl_tune.analysis.audit import audit_lines
from biomarl_tune.analysis.contenders import returns_by_number
from biomarl_tune.analysis.decisions import decision_line, rung_table
from biomarl_tune.analysis.dependence import dependence_lines, dependences
from biomarl_tune.analysis.pareto import front_lines
from biomarl_tune.analysis.robustness import robustness_lines, robustness_summary
from biomarl_tune.analysis.sensitivity import comparable_trials, importances
from biomarl_tune.analysis.verdict import Verdict, shown_score, signed, verdict_lines
from biomarl_tune.search.rungs import rung_levels
from biomarl_tune.search.spec import SearchSpec

_MOST_SLICES = 12  # pictures of single settings
_MOST_CURVES = 400
_MOST_ROWS = 10


@dataclass(frozen=True)
class Found:
    """What a report is made of; tables of stages that were not run are empty."""

    path: Path
    spec: SearchSpec
    spec_text: str
    versions: dict[str, str]
    trials: pd.DataFrame
    metrics: pd.DataFrame
    evaluation: pd.DataFrame
    ablation: pd.DataFrame
    robustness: pd.DataFrame
    verdict: Verdict | None
    seconds: float


def verdict(found: Found) -> str:
    """Say who won, in words and in figures."""
    verdict = found.verdict
    if verdict is None:
        return markup.paragraph(
            "There is no verdict yet: nothing was replayed on held-out seeds. "
            f"Once the search has finished: biomarl-tune evaluate {found.path.name}"
        )
    first, *rest = verdict_lines(verdict)
    chances = verdict.improvement
    gap = verdict.optimism_gap
    shown = [
        (shown_score(verdict.winner.score), f"held-out return of {verdict.winner.name}"),
        (signed(verdict.difference), "against the defaults, paired"),
        (f"{chances.estimate:.0%}", "of episodes beat the defaults'"),
        *([(signed(gap), "optimism gap of the search")] if gap else []),
    ]
    return (
        markup.paragraph(first, f"headline {verdict.finding}")
        + markup.facts(shown)
        + (markup.paragraphs(rest))
    )


def evaluation(found: Found) -> str:
    """Show every contender's averages with their intervals."""
    verdict = found.verdict
    if verdict is None:
        return markup.paragraph("Not done yet.")
    rows = [
        (
            markup.escaped(c.name),
            markup.bounds(*c.score),
            markup.bounds(*c.median),
            markup.bounds(*c.mean),
            markup.bounds(*c.improvement, ".2f") if c.number != -1 else "–",
            markup.number(c.deliveries),
            markup.number(c.search_value),
            markup.number(c.cpu_seconds, ",.0f"),
        )
        for c in verdict.contenders
    ]
    headings = (
        "", "IQM", "median", "mean", "P(beats defaults)", "deliveries", "search value", "CPU s"
    )  # fmt: skip
    summary = pd.DataFrame({"number": c.number, **c.score._asdict()} for c in verdict.contenders)
    returns = returns_by_number(found.evaluation)
    ordered = {c.number: returns[c.number] for c in verdict.contenders}
    numbers = [c.number for c in verdict.contenders]
    note = (
        f"{verdict.seeds} seeds that no training saw, {verdict.episodes} whole episodes each, the "
        "same for all. Returns are rewards of the colony over an episode; IQM is the interquartile "
        "mean; brackets are 95 % bootstrap intervals over seeds."
    )
    return (
        markup.paragraph(note, "soft")
        + markup.table(headings, rows, pick=numbers.index(verdict.winner.number))
        + markup.pictures(
            [plots.evaluation_intervals(summary), findings.performance_profiles(ordered)]
        )
    )


def learning(found: Found) -> str:
    """Show the learning curves and the rungs."""
    objective = found.spec.objective[0]
    chosen = found.trials.tail(_MOST_CURVES)
    metrics = found.metrics[found.metrics["number"].isin(chosen["number"])]
    levels = rung_levels(found.spec.stopping)
    figures = [
        plots.learning_curves(
            metrics, chosen, metric=objective.metric, mode=objective.mode, rungs=levels
        )
    ]
    if objective.metric != "deliveries_per_episode":
        figures.append(
            plots.learning_curves(metrics, chosen, metric="deliveries_per_episode", rungs=levels)
        )
    left_out = len(found.trials) - len(chosen)
    note = f"Only the last {_MOST_CURVES} trials are drawn; {left_out} are not." if left_out else ""
    return markup.pictures(figures) + (markup.paragraph(note, "soft") if note else "")


def space(found: Found) -> str:
    """Show where in the space the trials lie."""
    objective = found.spec.objective[0]
    names = list(found.spec.space)[:_MOST_SLICES]
    figures = [
        plots.parallel_coordinates(found.trials, metric=objective.metric, mode=objective.mode)
    ]
    figures += [
        plots.return_against_setting(
            found.trials, name, metric=objective.metric, mode=objective.mode
        )
        for name in names
    ]
    return markup.pictures(figures)


def sensitivity(found: Found) -> str:
    """Show importance, dependence and bands of good values."""
    sample = comparable_trials(found.spec, found.trials, found.metrics)
    note = markup.paragraph(sample.note, "soft")
    if not sample.is_enough:
        return note
    table = importances(sample, seed=found.spec.seed)
    metric = found.spec.objective[0].metric
    bands = dependences(sample)
    figures = []
    for method in ("fANOVA", "PED-ANOVA"):
        figure = plots.importance(table[table["method"] == method])
        figure.supxlabel(f"{method}. {figure.get_supxlabel()} {_METHODS[method]}")
        figures.append(figure)
    figures += [findings.partial_dependence(d, metric=metric) for d in bands[:_MOST_SLICES]]
    return note + markup.paragraphs(dependence_lines(bands, sample)) + markup.pictures(figures)


_METHODS = {
    "fANOVA": "Over the whole space; bars: 5th to 95th percentile over resampled trials.",
    "PED-ANOVA": "What sets the best quarter of the trials apart; bars as before.",
}


def ablation(found: Found) -> str:
    """Show what the winner loses without each bio part."""
    if found.ablation.empty:
        return markup.paragraph(f"Not done yet: biomarl-tune ablate {found.path.name}")
    summary = ablation_summary(found.ablation, seed=found.spec.seed)
    rows = [
        (
            markup.escaped(f"{row.off} off"),
            markup.bounds(row.iqm, row.iqm_low, row.iqm_high),
            markup.bounds(row.loss, row.loss_low, row.loss_high),
            markup.number(row.share, ".0%"),
        )
        for row in summary.itertuples()
    ]
    number = int(found.ablation["number"].iloc[0])
    note = (
        f"Trial {number} on the same {found.ablation['seed'].nunique()} held-out seeds each time."
    )
    return (
        markup.paragraph(note, "soft")
        + markup.paragraphs(ablation_lines(summary))
        + markup.table(("", "return (IQM)", "lost", "share"), rows)
        + markup.pictures([findings.ablation_losses(summary)])
    )


def robustness(found: Found) -> str:
    """Show how the best fare in other worlds."""
    if found.robustness.empty:
        return markup.paragraph(
            f"Not done yet: biomarl-tune evaluate {found.path.name} --vary num_agents=10,30,60"
        )
    summary = robustness_summary(found.robustness, seed=found.spec.seed)
    return markup.paragraphs(robustness_lines(summary)) + markup.pictures(
        [findings.robustness_matrix(summary)]
    )


def stopping(found: Found) -> str:
    """Show what early stopping did, and its audit."""
    stopping = found.spec.stopping
    pruned = int((found.trials["state"] == "PRUNED").sum())
    if not rung_levels(stopping):
        return markup.paragraph(f"Scheduler {stopping.scheduler}: {pruned} trials stopped early.")
    table = rung_table(found.spec, found.trials, found.metrics)
    rows = [
        (
            markup.escaped(int(row.iteration)),
            markup.escaped(int(row.arrived)),
            markup.escaped(int(row.stopped)),
            markup.escaped(int(row.went_on)),
            markup.number(row.cut, ",.5g"),
            markup.number(row.saved / 1e6),
        )
        for row in table.itertuples()
    ]
    note = (
        f"ASHA: at each rung about the best 1 in {stopping.reduction} goes on. "
        f"{pruned} of {len(found.trials)} trials were stopped early."
    )
    headings = (
        "rung (iteration)",
        "arrived",
        "stopped",
        "went on",
        "best stopped",
        "M steps saved",
    )
    told = audit_lines(found.trials, found.metrics, stopping, found.spec.objective[0])
    return markup.paragraph(note) + markup.table(headings, rows) + markup.paragraphs(told)


def cost(found: Found) -> str:
    """Show what the trials cost and brought for it."""
    trials = found.trials
    shown = [
        (str(len(trials)), "trials"),
        (f"{trials['agent_steps'].sum() / 1e6:,.1f} M", "agent steps"),
        (f"{trials['cpu_seconds'].sum() / 3600:,.2f} h", "processor time of the trials"),
        (f"{found.seconds / 60:,.1f} min", "wall time of the search"),
    ]
    if found.spec.objective[0].mode == "min":
        return markup.facts(shown)
    rows = [
        (
            markup.escaped(f"trial {int(row.number)}"),
            markup.number(row.value),
            markup.number(row.agent_steps / 1e6),
            markup.number(row.cpu_seconds, ",.0f"),
            markup.number(row.value_per_million_agent_steps),
            markup.number(row.value_per_cpu_second, ",.2f"),
        )
        for row in trials[trials["state"] == "COMPLETE"].nlargest(_MOST_ROWS, "value").itertuples()
    ]
    headings = ("", "value", "M agent steps", "CPU s", "value per M steps", "value per CPU s")
    return (
        markup.facts(shown)
        + markup.paragraphs(front_lines(trials, found.spec.objective))
        + markup.table(headings, rows)
        + markup.pictures([findings.cost_of_return(trials)])
    )


def decisions(found: Found) -> str:
    """Tell of each trial why it was run and why it ended."""
    items = "".join(
        f'<li class="{row["state"].lower()}">{escape(decision_line(row))}</li>'
        for row in found.trials.to_dict("records")
    )
    return f'<ol class="log">{items}</ol>'


def spec(found: Found) -> str:
    """Show the search space as given, and the versions."""
    versions = ", ".join(f"{name} {version}" for name, version in found.versions.items())
    return f"<pre>{escape(found.spec_text)}</pre>" + markup.paragraph(
        f"Seed {found.spec.seed}. Made with {versions}.", "soft"
    )
