from __future__ import annotations

import io
from pathlib import Path
from typing import Any, get_args

import pytest
import tomli
from dotenv import dotenv_values
from hypothesis import given, settings
from hypothesis import strategies as st

from pygent.config.mend import mended, native
from pygent.config.settings import Kind
from pygent.config.values import parse
from pygent.config.write import binding, literal
from pygent.records import Persona

KINDS = get_args(Kind)
PLAIN = st.one_of(
    st.booleans(),
    st.integers(-(1 << 62), 1 << 62),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"])),
)
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=3), inner, max_size=3),
    ),
    max_leaves=5,
)


@settings(max_examples=300, deadline=None)
@given(value=VALUES)
def test_what_is_written_is_read_again(value: Any) -> None:
    assert tomli.loads(f"x = {literal(value)}")["x"] == value


def test_a_persona_is_a_table_and_nothing_else_is_guessed() -> None:
    assert tomli.loads(f"x = {literal(Persona(name='a', description='b'))}")["x"] == {
        "name": "a",
        "description": "b",
    }
    with pytest.raises(TypeError):
        literal(object())


@settings(max_examples=300, deadline=None)
@given(value=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), min_size=1))
def test_a_binding_is_read_again(value: str) -> None:
    assert dotenv_values(stream=io.StringIO(f"{binding('X', value)}\n"), interpolate=False) == {"X": value}


@settings(max_examples=400, deadline=None)
@given(kind=st.sampled_from(KINDS), raw=VALUES)
def test_what_is_offered_instead_is_taken(kind: Kind, raw: Any) -> None:
    for value in mended(kind, raw):
        parse(kind, tomli.loads(f"x = {literal(value)}")["x"], Path("/"), None)


TEXTS = st.one_of(
    st.sampled_from(["1", " 3 ", "2.50", "yes", "off", "a:b", "a - b:c", "auto", "2g", "x"]),
    st.text(max_size=5),
)


@settings(max_examples=400, deadline=None)
@given(kind=st.sampled_from(KINDS), raw=TEXTS)
def test_the_form_of_toml_means_the_same(kind: Kind, raw: str) -> None:
    better = native(kind, raw)
    if better is not raw:
        assert parse(kind, better, Path("/"), None) == parse(kind, raw, Path("/"), None)
