"""Pieces of a report page: text, tables and pictures as HTML, all of it inside the page."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

_DASH = "–"


def paragraph(text: str, kind: str = "") -> str:
    """Return a paragraph."""
    attribute = f' class="{kind}"' if kind else ""
    return f"<p{attribute}>{escape(text)}</p>"


def paragraphs(lines: Iterable[str]) -> str:
    """Return a paragraph a line."""
    return "\n".join(paragraph(line) for line in lines)


def section(name: str, title: str, *parts: str) -> str:
    """Return a section with an anchor; empty parts are left out."""
    body = "\n".join(part for part in parts if part)
    return f'<section id="{name}">\n<h2>{escape(title)}</h2>\n{body}\n</section>'


def heading(text: str) -> str:
    """Return a heading within a section."""
    return f"<h3>{escape(text)}</h3>"


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Return figures that stand out: (figure, with its interval in brackets, and what it is)."""
    cells = []
    for figure, meaning in pairs:
        large, bracket, interval = figure.partition(" [")
        small = f" <small>{escape(bracket + interval).strip()}</small>" if interval else ""
        cells.append(f"<div><b>{escape(large)}{small}</b><span>{escape(meaning)}</span></div>")
    return f'<div class="facts">{"".join(cells)}</div>'


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, pick: int = -1) -> str:
    """Return a table that scrolls sideways where it is wider than the page.

    Args:
        headings: of the columns.
        rows: cells as ``escaped``, ``number`` or ``bounds`` return them.
        pick: index of the row that stands out.
    """
    head = "".join(f'<th scope="col">{escape(heading)}</th>' for heading in headings)
    kinds = ("<tr>", '<tr class="pick">')
    body = "".join(
        kinds[index == pick] + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>"
        for index, row in enumerate(rows)
    )
    return (
        f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def escaped(value: Any) -> str:
    """Return a text as a table's cell."""
    return escape(str(value))


def number(value: float | None, form: str = ",.1f") -> str:
    """Return a number as a table's cell; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return _DASH
    return f"{value:{form}}"


def bounds(estimate: float, low: float, high: float, form: str = ",.1f") -> str:
    """Return an estimate and its interval as a table's cell."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return f"{number(estimate, form)} <small>no interval</small>"
    return f"{estimate:{form}} <small>[{low:{form}}, {high:{form}}]</small>"


def pictures(figures: Iterable[Figure]) -> str:
    """Return pictures side by side, their captions as text below them."""
    return f'<div class="figures">{"".join(map(picture, figures))}</div>'


def picture(figure: Figure) -> str:
    """Return a picture as vector graphics inside the page, its caption below it."""
    caption = " ".join(figure.get_supxlabel().split())
    figure.supxlabel("")
    drawn = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "biomarl-tune"}):
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
    data = base64.b64encode(drawn.getvalue()).decode("ascii")
    return (
        f'<figure><img src="data:image/svg+xml;base64,{data}" alt="{escape(caption)}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )
