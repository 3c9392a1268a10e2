"""The store: nothing announced is lost, claims die with their owner, damage is told."""

import os
import resource
import signal
import sqlite3
import subprocess
import sys
import textwrap

import msgspec
import pytest

from pygent.errors import PygentError
from pygent.events import Message, Notice, TurnFinished, TurnStarted
from pygent.leases import Owner
from pygent.records import NO_USAGE, Persona, Question, SessionInfo, Task
from pygent.schema import MIGRATIONS, SCHEMA, SCHEMA_VERSION
from pygent.store import Store


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path)
    yield store
    store.close()


def info(number: int, **changes) -> SessionInfo:
    fields = {
        "id": f"ses_{number}",
        "title": f"title {number}",
        "created_at": 1,
        "updated_at": number,
        "workspace": "/w",
        "persona": Persona(name="Pygent"),
        "status": "idle",
        "folder_uri": "file:///w",
    }
    return SessionInfo(**{**fields, **changes})


def task(number: int, **changes) -> Task:
    fields = {
        "id": f"tsk_{number}",
        "title": "t",
        "prompt": "p",
        "status": "queued",
        "persona": Persona(name="Pygent"),
        "session_id": "ses_1",
        "created_at": 1,
        "workspace": "/w",
        "steps": 0,
        "usage": NO_USAGE,
        "changed_files": [],
    }
    return Task(**{**fields, **changes})


def test_events_come_back_as_they_were(store):
    events = [
        TurnStarted(text="grüße 😀"),
        Message(item_id="itm_1", role="assistant", text="hello", extra={"reasoning_content": "x"}),
        TurnFinished(status="completed", reply="hello", usage=NO_USAGE),
    ]
    for event in events:
        store.append("ses_1", 1, event, turn_id="trn_1", task_id=None)  # the number is corrected upwards
    envelopes = store.events("ses_1")
    assert [envelope.event for envelope in envelopes] == events
    assert [envelope.seq for envelope in envelopes] == [1, 2, 3]
    assert [envelope.seq for envelope in store.events("ses_1", after=1, limit=1)] == [2]
    assert store.last_seq("ses_1") == 3
    assert store.last_seq("ses_2") == 0


def test_two_processes_number_the_events_of_one_session_together(store, tmp_path):
    other = Store(tmp_path)
    for _ in range(3):
        store.append(
            "ses_1", store.last_seq("ses_1") + 1, Notice(level="info", text="a"), turn_id=None, task_id=None
        )
        other.append("ses_1", 1, Notice(level="info", text="b"), turn_id=None, task_id=None)
    other.close()
    assert [envelope.event.text for envelope in store.events("ses_1")] == ["a", "b"] * 3


def test_sessions_are_paged_latest_first_and_searched(store):
    for number in range(1, 6):
        store.save_session(info(number))
    store.save_session(info(6, task_id="tsk_1"))
    store.save_session(info(7, folder_uri="file:///other", title="100% done"))
    first, cursor = store.sessions(limit=3)
    rest, end = store.sessions(limit=3, cursor=cursor)
    assert [session.id for session in first + rest] == ["ses_7", "ses_5", "ses_4", "ses_3", "ses_2", "ses_1"]
    assert end is None
    assert [session.id for session in store.sessions(folder_uri="file:///other")[0]] == ["ses_7"]
    assert [session.id for session in store.sessions(search="100%")[0]] == ["ses_7"]
    assert store.sessions(search="1%0")[0] == []
    with pytest.raises(PygentError, match="not a cursor"):
        store.sessions(cursor="x")


def test_what_is_not_there_is_said(store):
    with pytest.raises(PygentError, match="no session ses_9") as failure:
        store.session("ses_9")
    assert failure.value.code == "notFound"
    with pytest.raises(PygentError, match="no task tsk_9"):
        store.task("tsk_9")
    assert not store.delete_session("ses_9")
    assert not store.claim_session("ses_9")


def test_deleting_a_session_takes_its_events(store):
    store.save_session(info(1))
    store.append("ses_1", 1, TurnStarted(text="x"), turn_id=None, task_id=None)
    assert store.delete_session("ses_1")
    assert store.events("ses_1") == []


def test_tasks_by_status_and_parent(store):
    store.save_task(task(1, parent_session_id="ses_a"))
    store.save_task(task(2, parent_session_id="ses_b", status="running"))
    assert [t.id for t in store.tasks()] == ["tsk_2", "tsk_1"]
    assert [t.id for t in store.tasks(status="running")] == ["tsk_2"]
    assert [t.id for t in store.tasks(session_id="ses_a")] == ["tsk_1"]
    here = msgspec.structs.replace(info(1), folder_uri="file:///here", task_id="tsk_2")
    store.save_session(here)
    assert [t.id for t in store.tasks(folder_uri="file:///here")] == ["tsk_2"]
    assert store.tasks(folder_uri="file:///there") == []
    store.save_task(task(1, parent_session_id="ses_a", status="completed"))
    assert store.task("tsk_1").status == "completed"
    store.request_cancel("tsk_2")
    assert store.cancel_requests(["tsk_1", "tsk_2"]) == ["tsk_2"]


CHILD = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from pygent.events import Notice
    from pygent.store import Store

    store = Store(Path(sys.argv[1]))
    print(store.claim_session("ses_1"), flush=True)
    number = 0
    while True:
        number += 1
        store.append("ses_1", number, Notice(level="info", text=str(number)), turn_id=None, task_id=None)
        print(number, flush=True)
    """
)


def test_kill_9_loses_no_announced_event_and_frees_the_claim(store, tmp_path):
    store.save_session(info(1))
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "True\n"
    announced = [int(child.stdout.readline()) for _ in range(200)]
    assert not store.claim_session("ses_1")
    assert store.session_owned("ses_1")
    os.kill(child.pid, signal.SIGKILL)
    rest, _ = child.communicate()
    announced += [int(line) for line in rest.splitlines(keepends=True) if line.endswith("\n")]
    stored = [int(envelope.event.text) for envelope in store.events("ses_1")]
    assert stored[: len(announced)] == announced
    assert not store.session_owned("ses_1")
    assert store.claim_session("ses_1")


def test_a_claim_is_given_back(store, tmp_path):
    store.save_session(info(1))
    other = Store(tmp_path)
    assert store.claim_session("ses_1")
    assert not other.claim_session("ses_1")
    store.release_session("ses_1")
    assert other.claim_session("ses_1")
    other.close()


def test_a_process_that_can_not_be_asked_is_not_taken_for_dead(store, tmp_path):
    other = Owner(store.path.parent / "owners")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        assert store.owner.alive(other.token)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    other.close()
    assert not store.owner.alive(other.token)


def test_tasks_of_a_dead_process_are_found(store, tmp_path):
    other = Store(tmp_path)
    store.save_task(task(1))
    other.save_task(task(2))
    assert not store.claim_task("tsk_2")
    assert store.abandoned_tasks() == []
    other.close()
    assert [t.id for t in store.abandoned_tasks()] == ["tsk_2"]


def test_a_file_that_is_no_store_is_named(tmp_path):
    (tmp_path / "pygent.db").write_bytes(b"this is not a database at all" * 100)
    with pytest.raises(PygentError, match=r"pygent\.db can't be opened") as failure:
        Store(tmp_path)
    assert "move the file away" in failure.value.fix


def test_a_store_of_a_newer_version_is_left_alone(store, tmp_path):
    store._db.execute("PRAGMA user_version=99")
    with pytest.raises(PygentError, match="newer Pygent"):
        Store(tmp_path)


def test_the_store_is_private(store):
    assert store.path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("version", range(1, SCHEMA_VERSION))
def test_a_store_of_an_earlier_version_goes_on(tmp_path, version):
    db = sqlite3.connect(tmp_path / "pygent.db")
    for step in [SCHEMA, *(MIGRATIONS[number] for number in range(1, version))]:
        db.executescript(step)
    db.execute(f"PRAGMA user_version={version}")
    body = msgspec.json.encode(info(1))
    db.execute(
        "INSERT INTO sessions (id, updated_at, title, body) VALUES ('ses_1', 1, 'Old', ?)",
        (body,),
    )
    db.commit()
    db.close()
    for number in range(2):  # and again, as one of this version
        store = Store(tmp_path)
        assert store.session("ses_1") == info(1)
        store.post_asked(Question(id=f"apr_{number}", session_id="ses_1", prompt="Well?"))
        assert store.pending_question("ses_1") == f"apr_{number}"
        store.post("ses_1", "hello", "trn_1", steers=True)
        store.close()
