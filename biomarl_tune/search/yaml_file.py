"""YAML text to plain Python, with the line of every key and bounds on what a file may ask for.

Scalars follow YAML 1.2's core schema (``1e-4`` is a number, ``on`` is text). A key is always text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from biomarl_tune.errors import InputError

MAX_BYTES = 64 * 1024
MAX_DEPTH = 32
MAX_NODES = 10_000
MAX_DIGITS = 300

KeyPath = tuple[str | int, ...]

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TOO_LARGE = f"is larger than {MAX_BYTES // 1024} KiB; a search space is a few lines"
_NULL = {"", "~", "null", "Null", "NULL"}
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"([-+]?)\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


@dataclass(frozen=True)
class Document:
    """A parsed file: its content, and where each key and list item stands."""

    source: str
    tree: Any
    lines: dict[KeyPath, int]

    def error(self, path: KeyPath, problem: str) -> InputError:
        """Return the error ``source:line: key.path: problem``, at the nearest known line."""
        known = path
        while known not in self.lines and known:
            known = known[:-1]
        where = ".".join(shown_key(part) for part in path)
        place = f"{self.source}:{self.lines.get(known, 1)}"
        return InputError(f"{place}: {where}: {problem}" if where else f"{place}: {problem}")


def read_file(path: Path) -> str:
    """Return the text of a YAML file; a byte order mark is dropped.

    Raises:
        InputError: not a readable regular file, larger than 64 KiB, or not UTF-8.
    """
    name = str(path) if str(path).isprintable() else shown(str(path))
    try:
        problem = _unfit(path)
        if problem:
            msg = f"{name}: {problem}"
            raise InputError(msg)
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        msg = f"{name}: cannot be read ({error.strerror or error}); give a readable YAML file"
        raise InputError(msg) from None
    if len(content) > MAX_BYTES:
        msg = f"{name}: {_TOO_LARGE}"
        raise InputError(msg)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        msg = f"{name}:{line}: is not UTF-8 text; save it as UTF-8"
        raise InputError(msg) from None


def _unfit(path: Path) -> str:
    if path.is_dir():
        return "is a directory; give the YAML file in it"
    if not path.exists():
        return "no such file; give the path of a YAML file"
    return "" if path.is_file() else "is not a regular file; give the path of a YAML file"


def parse(text: str, source: str) -> Document:
    """Parse one YAML document within the bounds above.

    Args:
        text: YAML 1.2 without tags; anchors are allowed as far as they stay small and acyclic.
        source: what error messages call the file.

    Raises:
        InputError: naming source, line and what is wrong.
    """
    if len(text.encode("utf-8", "replace")) > MAX_BYTES:
        msg = f"{source}: {_TOO_LARGE}"
        raise InputError(msg)
    composer = _Composer(source)
    try:
        composer.read(yaml.parse(text, Loader=_LOADER))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        msg = f"{source}:{line}: is not valid YAML: {_one_line(error.problem or error.context)}"
        raise InputError(msg) from None
    except (yaml.YAMLError, UnicodeError) as error:
        msg = f"{source}: is not valid YAML: {_one_line(error)}"
        raise InputError(msg) from None
    return Document(source, composer.tree, composer.lines)


def shown(value: Any) -> str:
    """Return a value as one short line for a message."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def shown_key(part: str | int) -> str:
    """Return one part of a key path as it may stand in a one-line message."""
    text = str(part)
    return text if len(text) <= 60 and text.isprintable() and text else shown(text)


def _one_line(problem: object) -> str:
    return " ".join(str(problem).split())[:120]


@dataclass(frozen=True)
class _Anchored:
    value: Any
    nodes: int
    height: int


@dataclass
class _Composer:
    """Builds the tree from the parser's events, counting what aliases expand to."""

    source: str
    tree: Any = None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    nodes: int = 0
    deepest: int = 0
    anchors: dict[str, _Anchored] = field(default_factory=dict)

    def read(self, events: Iterator[Any]) -> None:
        documents = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self.error(event, "a second document begins; keep one")
                self.tree = self.node(next(events), events, ())
        if self.tree is None:
            msg = f"{self.source}: is empty; write a search space as in the README"
            raise InputError(msg)

    def node(self, event: Any, events: Iterator[Any], path: KeyPath) -> Any:
        self.lines.setdefault(path, event.start_mark.line + 1)
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event, path)
        self.count(event, 1, len(path))
        if event.tag is not None:
            problem = f"tags are not taken, got {shown(event.tag)}; leave it out"
            raise self.error(event, problem)
        nodes_before, outer, self.deepest = self.nodes, self.deepest, len(path)
        if isinstance(event, yaml.MappingStartEvent):
            value: Any = self.mapping(events, path)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self.sequence(events, path)
        else:
            value = self.scalar(event)
        if event.anchor:
            size, height = self.nodes - nodes_before + 1, self.deepest - len(path)
            self.anchors[event.anchor] = _Anchored(value, size, height)
        self.deepest = max(outer, self.deepest)
        return value

    def mapping(self, events: Iterator[Any], path: KeyPath) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for event in events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            if not isinstance(event, yaml.ScalarEvent) or event.tag is not None:
                raise self.error(event, "a key must be a plain name")
            key = str(event.value)
            here = (*path, key)
            if key in result:
                first = self.lines[here]
                problem = f"{shown_key(key)}: given twice, first in line {first}; keep one"
                raise self.error(event, problem)
            self.lines[here] = event.start_mark.line + 1
            result[key] = self.node(next(events), events, here)
        return result

    def sequence(self, events: Iterator[Any], path: KeyPath) -> list[Any]:
        result: list[Any] = []
        for event in events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            result.append(self.node(event, events, (*path, len(result))))
        return result

    def alias(self, event: Any, path: KeyPath) -> Any:
        anchored = self.anchors.get(event.anchor)
        if anchored is None:
            problem = f"*{shown_key(event.anchor)} names no finished anchor; write the value out"
            raise self.error(event, problem)
        self.count(event, anchored.nodes, len(path) + anchored.height)
        self.deepest = max(self.deepest, len(path) + anchored.height)
        return anchored.value

    def count(self, event: Any, nodes: int, depth: int) -> None:
        self.nodes += nodes
        if self.nodes > MAX_NODES:
            raise self.error(event, f"more than {MAX_NODES:,} values; shorten it")
        if depth > MAX_DEPTH:
            raise self.error(event, f"nested deeper than {MAX_DEPTH} levels; flatten it")

    def scalar(self, event: Any) -> Any:
        if event.style not in {None, ""}:
            return event.value
        try:
            return _plain_scalar(event.value)
        except ValueError as error:
            raise self.error(event, str(error)) from None

    def error(self, event: Any, problem: str) -> InputError:
        return InputError(f"{self.source}:{event.start_mark.line + 1}: {problem}")


def _plain_scalar(text: str) -> Any:
    """Resolve an unquoted scalar by YAML 1.2's core schema."""
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if len(text) > MAX_DIGITS and (_INT.fullmatch(text) or _FLOAT.fullmatch(text)):
        msg = f"a number of more than {MAX_DIGITS} characters, got {shown(text)}; shorten it"
        raise ValueError(msg)
    if _INT.fullmatch(text):
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
    if _FLOAT.fullmatch(text):
        return float(text)
    if special := _SPECIAL.fullmatch(text):
        return float("nan") if special[3] else float(f"{special[1]}inf")
    return text
