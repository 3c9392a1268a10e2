"""What was learnt of endpoints, on disk."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygent.model.memory import FILE, MOST, Memory

URL = "https://me:secret@models.test/v1?key=secret"


def test_it_is_kept_by_address_and_model_without_a_secret(tmp_path: Path) -> None:
    Memory(tmp_path, URL).learn("m", {"content": "null"})
    Memory(tmp_path, URL).measure("m", 4096, "/models")
    Memory(tmp_path, "http://other.test/v1").learn("m", {"ids": "short"})
    known = Memory(tmp_path, URL).of("m")
    assert (known.learnt, known.window, known.source) == ({"content": "null"}, 4096, "/models")
    assert Memory(tmp_path, URL).of("other").learnt == {}
    file = tmp_path / FILE
    assert "secret" not in file.read_text()
    assert set(json.loads(file.read_text())) == {"https://models.test/v1", "http://other.test/v1"}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_two_processes_do_not_forget_each_others(tmp_path: Path) -> None:
    one, other = Memory(tmp_path, URL), Memory(tmp_path, URL)
    one.learn("a", {"content": "null"})
    other.learn("b", {"ids": "short"})
    found = Memory(tmp_path, URL)
    assert (found.of("a").learnt, found.of("b").learnt) == ({"content": "null"}, {"ids": "short"})


def test_nothing_new_is_not_written(tmp_path: Path) -> None:
    memory = Memory(tmp_path, URL)
    memory.learn("m", {"content": "null"})
    before = (tmp_path / FILE).stat().st_ino
    memory.learn("m", {"content": "null"})
    memory.learn("m", {})
    assert (tmp_path / FILE).stat().st_ino == before


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"a": 3}', b"\xff\xfe", b"[" * 100_000])
def test_a_damaged_file_is_as_good_as_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    memory = Memory(tmp_path, URL)
    assert memory.of("m").learnt == {}
    memory.learn("m", {"content": "null"})
    assert Memory(tmp_path, URL).of("m").learnt == {"content": "null"}


@given(st.binary(max_size=200))
def test_any_file_is_read(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("state")
    (folder / FILE).write_bytes(content)
    assert Memory(folder, URL).of("m").window is None


def test_a_folder_that_can_not_be_written_costs_only_the_memory(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "missing" / "state", URL)
    memory.learn("m", {"content": "null"})
    assert memory.of("m").learnt == {"content": "null"}


def test_it_does_not_grow_for_ever(tmp_path: Path) -> None:
    memory = Memory(tmp_path, URL)
    for number in range(MOST + 5):
        memory.measure(f"m{number}", 4096, "/models")
    assert len(json.loads((tmp_path / FILE).read_text())["https://models.test/v1"]) == MOST
    found = Memory(tmp_path, URL)
    assert (found.of("m0").window, found.of(f"m{MOST + 4}").window) == (None, 4096)
