"""The log: a rotating file for the process, and one more where `log_file` asks for it."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import traceback
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from pygent import files, redaction
from pygent.events import AnyEvent, Envelope, Notice, ToolFinished, ToolStarted, TurnFinished, TurnStarted

SIZE, KEPT = 2_000_000, 3
"""Bytes after which a log begins anew, and how many old ones are kept."""

log = logging.getLogger("pygent.log")


class OneLine(logging.Formatter):
    """A record on one line: of an exception the type and where it was, which is what a report needs.

    Its message could hold anything, as a payload.  `whole` keeps tracebacks.
    """

    def __init__(self, *, whole: bool = False, times: bool = True) -> None:
        super().__init__(("%(asctime)s " if times else "") + "%(levelname)s %(name)s: %(message)s")
        self._whole = whole

    def format(self, record: logging.LogRecord) -> str:
        """The line, whatever another handler has made of the exception, and without secrets."""
        record.exc_text = None
        line = super().format(record)
        record.exc_text = None
        return clean(line)

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        """The type of the exception and the way to it, or with `whole` the traceback."""
        if self._whole:
            return super().formatException(ei)
        return f"  {ei[0].__name__} in {_place(ei[2])}"


def clean(text: str) -> str:
    """What the process says of its own work without the secrets that it has read."""
    return redaction.process.whole(redaction.without_userinfo(text))


def clean_standard_error() -> None:
    """From now on no traceback and no line of a library shows a secret on standard error."""

    def show(kind: Any, error: Any, trace: Any) -> None:
        sys.stderr.write(clean("".join(traceback.format_exception(kind, error, trace))))

    sys.excepthook = show
    threading.excepthook = lambda given: show(given.exc_type, given.exc_value, given.exc_traceback)
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(OneLine(times=False))


def not_of_sessions(record: logging.LogRecord) -> bool:
    """What sessions do, with their words in it, belongs in the log of the session only."""
    return record.name != log.name


def _place(trace: Any) -> str:
    """Where an exception was raised, innermost last."""
    frames = traceback.extract_tb(trace)[-4:]
    return " > ".join(f"{Path(one.filename).name}:{one.lineno} {one.name}" for one in frames)


class LogFile(RotatingFileHandler):
    """A log that only its owner may read, also when it begins anew, and that is written through no link.

    Inside a `root`, where a command may swap a folder for a link while we write, no folder on the way may be
    one.  Raises OSError.
    """

    def __init__(self, path: Path, root: Path | None = None) -> None:
        self._path = path.absolute()
        self._root = root if root is not None and root in self._path.parents else None
        if self._root is None:
            files.private_folder(self._path.parent)
        super().__init__(self._path, maxBytes=SIZE, backupCount=KEPT, encoding="utf-8")

    def _open(self) -> TextIOWrapper:
        handle = files.private(self._path, self._root, append=True)
        return open(handle, "a", encoding=self.encoding)  # noqa: PTH123 - a handle has no path

    def doRollover(self) -> None:  # noqa: N802 - logging's name
        """Begin anew, and keep the old ones under numbers."""
        assert self.stream is not None
        self.stream.close()
        with files.folder_of(self._path, self._root or self._path.parent) as (folder, name):
            for number in range(self.backupCount, 0, -1):
                newer = f"{name}.{number - 1}" if number > 1 else name
                with contextlib.suppress(FileNotFoundError):
                    os.replace(newer, f"{name}.{number}", src_dir_fd=folder, dst_dir_fd=folder)
        self.stream = self._open()


class Logs:
    """The log files that one App writes."""

    def __init__(self) -> None:
        self._handlers: dict[Path, LogFile] = {}

    def add(self, path: Path, root: Path | None = None) -> str | None:
        """Write to a file from now on; returns what is wrong with it, if anything is.  As `LogFile`."""
        if path in self._handlers:
            return None
        try:
            handler = LogFile(path, root)
        except OSError as error:
            return f"The log {path} can't be written: {error.strerror}."
        handler.setFormatter(OneLine())
        logger = logging.getLogger("pygent")
        logger.setLevel(logging.INFO)
        logger.addHandler(handler)
        self._handlers[path] = handler
        return None

    def close(self) -> None:
        """Close the files."""
        for handler in self._handlers.values():
            logging.getLogger("pygent").removeHandler(handler)
            handler.close()
        self._handlers.clear()


def log_event(envelope: Envelope) -> None:
    """A line for an event that a reader of the log wants to see."""
    if (words := _words(envelope.event)) is not None:
        log.info("%s %s", envelope.session_id, words)


def _words(event: AnyEvent) -> str | None:
    match event:
        case TurnStarted(text=text):
            return f"turn begins, with {len(text)} characters"
        case ToolStarted(name=name, title=title):
            return f"{name}: {title[:200]}"
        case ToolFinished() as done:
            return f"{done.status} in {done.duration_ms} ms, exit code {done.exit_code}"
        case Notice(level=level, text=text):
            return f"{level}: {text}"
        case TurnFinished() as end:
            return f"turn ends: {end.status}" + (f": {end.error.message}" if end.error else "")
        case _:
            return None
