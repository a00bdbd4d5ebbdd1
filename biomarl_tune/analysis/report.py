"""The report of a run: one self-contained page that reads the same without a network."""

from __future__ import annotations

import os
from collections.abc import Callable
from html import escape
from pathlib import Path

from biomarl_tune.analysis import markup, sections
from biomarl_tune.analysis.replay import page_template
from biomarl_tune.analysis.sections import Found
from biomarl_tune.analysis.trials import load_table, metrics_table, trials_table
from biomarl_tune.analysis.verdict import verdict_of
from biomarl_tune.errors import StorageError
from biomarl_tune.search.study import Study


def write_report(study: Study) -> Path:
    """Write report.html into the run directory, from what is there, and return its path.

    Raises:
        StorageError: it cannot be written.
    """
    path = study.directory.path / "report.html"
    new = path.with_name(".report.html.new")
    try:
        new.write_text(report_page(gather(study)), encoding="utf-8")
        new.replace(path)
    except OSError as error:
        msg = f"{path}: cannot be written ({os.strerror(error.errno or 0)}); free the disk"
        raise StorageError(msg) from None
    finally:
        new.unlink(missing_ok=True)
    return path


def gather(study: Study) -> Found:
    """Collect what there is to report on a search, finished or not."""
    evaluation = load_table(study.directory, "evaluation")
    return Found(
        path=study.directory.path,
        spec=study.spec,
        spec_text=study.identity.spec_text,
        versions=study.identity.versions,
        trials=trials_table(study),
        metrics=metrics_table(study),
        evaluation=evaluation,
        ablation=load_table(study.directory, "ablation"),
        robustness=load_table(study.directory, "robustness"),
        verdict=verdict_of(study, evaluation) if len(evaluation) else None,
        seconds=study.seconds_spent,
    )


def report_page(found: Found) -> str:
    """Return the page."""
    made: dict[str, tuple[str, Callable[[Found], str]]] = {
        "verdict": ("Verdict", sections.verdict),
        "evaluation": ("Held-out evaluation", sections.evaluation),
        "learning": ("Learning curves", sections.learning),
        "space": ("The space", sections.space),
        "sensitivity": ("Which settings matter", sections.sensitivity),
        "ablation": ("What the bio parts bring", sections.ablation),
        "robustness": ("Other worlds", sections.robustness),
        "stopping": ("Early stopping", sections.stopping),
        "cost": ("Cost", sections.cost),
        "decisions": ("Decision log", sections.decisions),
        "spec": ("Search space and versions", sections.spec),
    }
    links = "".join(f'<a href="#{name}">{escape(title)}</a>' for name, (title, _) in made.items())
    parts = [markup.section(name, title, make(found)) for name, (title, make) in made.items()]
    title = f"Search {found.spec.name}"
    body = "\n".join(
        [f"<h1>{escape(title)}</h1>", f"<nav aria-label='Sections'>{links}</nav>", *parts]
    )
    template = page_template("report.html")
    return template.replace("__TITLE__", escape(title)).replace("__BODY__", body)
