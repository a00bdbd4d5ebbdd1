from __future__ import annotations

import os
import random

import pytest

from biomarl_tune.errors import InputError
from biomarl_tune.search.spec import parse_spec
from biomarl_tune.search.yaml_file import MAX_BYTES, parse, read_file

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [*{old}, *{old}, *{old}, *{old}, *{old}, *{old}, *{old}, *{old}]\n"
    for old, new in zip("abcdefghijk", "bcdefghijkl", strict=True)
)


def test_scalars_follow_yaml_1_2():
    """1e-4 is a number, on is text, and underscores or leading zeros do not surprise."""
    tree = parse("[1e-4, 1, -2.5, .inf, on, yes, true, ~, 1_000, 0x1F, 010, '1', 12:30]", "s").tree

    expected = [1e-4, 1, -2.5, float("inf"), "on", "yes", True, None, "1_000", 31, 10, "1", "12:30"]
    assert tree == expected


def test_lines_are_known_for_keys_and_items():
    """Every key and every list item has its line, counted from 1."""
    lines = parse("a: 1\nb:\n  c: 2\n  d:\n    - 3\n    - 4\n", "s").lines

    assert (lines["a",], lines["b", "c"], lines["b", "d", 1]) == (1, 3, 6)


def test_small_anchors_are_taken():
    """An alias stands for the value it names."""
    assert parse("a: &x {b: 1}\nc: *x", "s").tree == {"a": {"b": 1}, "c": {"b": 1}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "s: is empty"),
        ("# only a comment\n", "s: is empty"),
        ("a: 1\nb: 2\na: 3", "s:3: a: given twice, first in line 1"),
        ("a: [1\n", "s:2: is not valid YAML"),
        ("a: 'x", "s:1: is not valid YAML"),
        ("a\x00b", "s: is not valid YAML"),
        ("a: \ud800", "s: is not valid YAML"),
        ("a: 1\n---\nb: 2", "s:2: a second document begins"),
        ("a: !!python/object/apply:os.system [ls]", "s:1: tags are not taken"),
        ("a: ! b", "s:1: tags are not taken"),
        ("? [a, b]\n: c", "s:1: a key must be a plain name"),
        ("a: &x [1, *x]", "s:1: *x names no finished anchor"),
        ("a: *nobody", "s:1: *nobody names no finished anchor"),
        (BOMB, "more than 10,000 values"),
        ("[" * 5000, "nested deeper than 32 levels"),
        ("{a: " * 5000, "nested deeper than 32 levels"),
        ("- " * 5000, "nested deeper than 32 levels"),
        ("[" + "a," * 20_000 + "]", "more than 10,000 values"),
        ("a: " + "9" * 60_000, "a number of more than 300 characters"),
        ("a: 0x" + "f" * 60_000, "a number of more than 300 characters"),
        ("x" * (MAX_BYTES + 1), "is larger than 64 KiB"),
    ],
)
def test_hostile_text_is_refused_in_one_line(text, message):
    """What is no small plain YAML is refused at its line, in one line."""
    with pytest.raises(InputError) as refused:
        parse(text, "s")

    assert message in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_height_of_an_alias_counts():
    """An alias cannot carry a value deeper than the limit."""
    text = f"a: &x {'[' * 20}{']' * 20}\nb: {'[' * 20}*x{']' * 20}"

    with pytest.raises(InputError, match="nested deeper than 32 levels"):
        parse(text, "s")


def test_byte_order_mark_is_dropped(tmp_path):
    """A file that an editor marked as UTF-8 reads like one without the mark."""
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xef\xbb\xbfname: x")

    assert read_file(path) == "name: x"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: 1\nb: \xff\xfe", ":2: is not UTF-8"),
        (b"a" * (MAX_BYTES + 1), "is larger than 64 KiB"),
    ],
)
def test_unreadable_content_is_refused(tmp_path, content, message):
    """Other encodings and large files are refused before they are parsed."""
    path = tmp_path / "a.yaml"
    path.write_bytes(content)

    with pytest.raises(InputError, match=message):
        read_file(path)


def test_what_is_no_file_is_refused(tmp_path):
    """A missing file, a directory, a pipe and an impossible path each have their own line."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    cases = {
        tmp_path / "none.yaml": "no such file",
        tmp_path: "is a directory",
        pipe: "is not a regular file",
        tmp_path / ("x" * 5000): "cannot be read",
        tmp_path / "a\x00b": "no such file",
    }

    for path, message in cases.items():
        with pytest.raises(InputError, match=message) as refused:
            read_file(path)
        assert len(str(refused.value).splitlines()) == 1


def test_mutated_files_end_in_a_spec_or_in_one_line(search_space):
    """Random damage to a good file never escapes as anything but an InputError."""
    rng = random.Random(7)
    pieces = [":", "\n", "- ", "{", "]", "*a", "&a ", "!!x ", "'", '"', "\t", "\x00", "é", ".nan"]
    pieces += [
        "1e999",
        "null",
        "true",
        "-1",
        "  ",
        "#",
        "%",
        "|",
        ">",
        "?",
        "when: {a: b}",
        "[[1]]",
    ]

    for _ in range(400):
        text = search_space
        for _ in range(rng.randint(1, 4)):
            start = rng.randrange(len(text))
            text = text[:start] + rng.choice(pieces) + text[start + rng.randint(0, 6) :]
        try:
            parse_spec(text)
        except InputError as error:
            assert len(str(error).splitlines()) == 1  # noqa: PT017 - both ends are good
