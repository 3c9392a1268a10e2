from __future__ import annotations

from typing import Any

import pytest
import tomli
from hypothesis import given, settings
from hypothesis import strategies as st

from pygent.config.outline import Outline, tokens

DOCUMENT = """\
# a comment
a.b = [1, {x = 2, "y z".w = [3]}, # inside
  'four']
[sandbox]   # the table
network = true
[[task_personas]]
name = "ä # no comment"
[[task_personas]]
name = '''
two
lines'''
"""


def written(text: str) -> dict[tuple[Any, ...], tuple[str, str]]:
    return {
        path: (text[place.key.start : place.key.end], text[place.value.start : place.value.end])
        for path, place in Outline(text).places.items()
    }


def test_every_key_and_item_has_its_place() -> None:
    found = written(DOCUMENT)
    assert found["a", "b", 0] == ("1", "1")
    assert found["a", "b", 1, "x"] == ("x", "2")
    assert found["a", "b", 1, "y z", "w"] == ('"y z".w', "[3]")
    assert found["a", "b", 2] == ("'four'", "'four'")
    assert found["sandbox", "network"] == ("network", "true")
    assert found["sandbox",] == ("sandbox", "")
    assert found["task_personas", 0, "name"] == ("name", '"ä # no comment"')
    assert found["task_personas", 1, "name"] == ("name", "'''\ntwo\nlines'''")
    assert found["task_personas", 1] == ("task_personas", "")


HALF_TYPED = [
    ("model = \nmax_tasks = 3\n", ["model =", "max_tasks = 3"]),
    ("mod\nmax_tasks = 3\n", ["mod", "max_tasks = 3"]),
    ("x = [1,\nmax_tasks = 3\n", ["x = [1,", "max_tasks = 3"]),
    ("x = [\n[limits]\nsteps = 3\n", ["x = [", "[limits]", "steps = 3"]),
    ("x = [\n[1], [true],\n]\n", ["x = [\n[1], [true],\n]"]),
    ("[limi\nsteps = 3\n", ["[limi", "steps = 3"]),
    ('a = "x\nb = 1\n', ['a = "x', "b = 1"]),
    ('a = """x\nb = 1\n', ['a = """x\nb = 1\n']),
    ("[limits]\nst\n[sandbox]\nnetwork = t\n", ["[limits]", "st", "[sandbox]", "network = t"]),
    ("a = {b = 1,\n c = 2}\nd = 3", ["a = {b = 1,\n c = 2}", "d = 3"]),
]


@pytest.mark.parametrize(("text", "statements"), HALF_TYPED)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_half_typed_statement_leaves_its_neighbours_alone(
    text: str, statements: list[str], newline: str
) -> None:
    text = text.replace("\n", newline)
    found = [text[one.start : one.end] for one in Outline(text).statements]
    assert found == [one.replace("\n", newline) for one in statements]


KEYS = st.sampled_from(["a", "b", "model", "sandbox", "x-1", '"q.k"', "'l'"])
SCALARS = st.sampled_from(
    ["1", "true", "1.5", "-2e3", '"s # [x"', "'a]'", '"""m\n[x]\nk = 1"""', "1979-05-27 07:32:00", '""']
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.lists(inner, max_size=3).map(
            lambda items: "[ # c\n" + "".join(f"  {one}, \n" for one in items) + "]"
        ),
        st.dictionaries(KEYS, inner, max_size=2).map(
            lambda table: "{" + ", ".join(f"{key} = {value}" for key, value in table.items()) + "}"
        ),
    ),
    max_leaves=5,
)
LINES = st.one_of(
    st.tuples(st.lists(KEYS, min_size=1, max_size=2), VALUES).map(
        lambda pair: f"{'.'.join(pair[0])} = {pair[1]}"
    ),
    st.lists(KEYS, min_size=1, max_size=2).map(lambda names: f"[{'.'.join(names)}]"),
    KEYS.map(lambda name: f"[[{name}]] # c"),
    st.sampled_from(["", "  # [x] = y"]),
)


def paths(value: Any, at: tuple[Any, ...] = ()) -> set[tuple[Any, ...]]:
    """The paths of all keys and items of a document."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    inner = list(pairs)
    return {(*at, key) for key, _ in inner}.union(*(paths(one, (*at, key)) for key, one in inner))


@settings(max_examples=300, deadline=None)
@given(lines=st.lists(LINES, max_size=6))
def test_it_sees_what_the_parser_sees(lines: list[str]) -> None:
    text = "\n".join(lines)
    try:
        document = tomli.loads(text)
    except tomli.TOMLDecodeError:
        return
    assert set(Outline(text).places) == paths(document)


@settings(max_examples=300, deadline=None)
@given(text=st.one_of(st.text(), st.text(alphabet="a=.[]{}\"'#\\\n\r ,1")))
def test_nothing_is_lost_and_nothing_raises(text: str) -> None:
    assert "".join(text[one.start : one.end] for one in tokens(text)) == text
    outline = Outline(text)
    ends = [0, *(edge for one in outline.statements for edge in (one.start, one.end)), len(text)]
    assert ends == sorted(ends)
    for place in outline.places.values():
        for span in (place.key, place.value):
            assert 0 <= span.start <= span.end <= len(text)
            line, column, *_ = outline.span(span)
            assert outline.offset(line, column) == span.start


@pytest.mark.parametrize(
    "piece", ["[", '"""\\', "'''", "[1],\n", "a=[\n", "{", "[a", ".", "a.", '"', "a=", "{a=", "[[a]]\n"]
)
def test_hostile_texts_take_no_long_time(piece: str) -> None:
    """The test's own time limit is far above what this takes, and far below what a quadratic would."""
    assert Outline("x = [" + piece * (200_000 // len(piece))).places is not None
