"""What is wrong with a search space, at which key: one line with the value and the remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ValidationError

from biomarl_tune.errors import InputError
from biomarl_tune.search.yaml_file import KeyPath, shown, shown_key

_WANTS = {
    "missing": "is missing",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a smaller whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be finite",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "dict_type": "must be a mapping (key: value)",
    "model_type": "must be a mapping (key: value)",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "literal_error": "must be {expected}",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
}


class SpecError(InputError):
    """A search space that cannot be used, with the path of the key to mend."""

    def __init__(self, path: KeyPath, problem: str) -> None:
        where = ".".join(shown_key(part) for part in path)
        super().__init__(f"{where}: {problem}" if where else problem)
        self.path = path
        self.problem = problem


def refusal_from(error: ValidationError, model: type[BaseModel], path: KeyPath) -> SpecError:
    """Turn the first of pydantic's complaints into a refusal.

    Args:
        error: what pydantic raised.
        model: what was to be built.
        path: where its mapping stands in the file.
    """
    first = error.errors()[0]
    loc = first["loc"]
    if first["type"] == "extra_forbidden":
        keys = _fields_at(model, loc[:-1])
        return SpecError((*path, *loc), f"there is no such key{nearest(str(loc[-1]), keys)}")
    want = _WANTS.get(first["type"], first["msg"].removeprefix("Value error, "))
    want = want.format(**first.get("ctx", {})) if first["type"] in _WANTS else want
    if first["type"] != "missing" and "got" not in want:
        want = f"{want}, got {shown(first['input'])}"
    return SpecError((*path, *loc), want)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown name: the nearest one, or all of them."""
    names = list(known)
    close = difflib.get_close_matches(name[:100], names, n=1)
    if close:
        return f"; did you mean {close[0]}?"
    if len(names) > 12:
        return "; see `biomarl-tune template`"
    return f"; use one of {', '.join(names)}"


def _fields_at(model: type[BaseModel], loc: Iterable[Any]) -> list[str]:
    for part in loc:
        field = model.model_fields.get(str(part))
        inner = field.annotation if field else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return []
        model = inner
    return list(model.model_fields)
