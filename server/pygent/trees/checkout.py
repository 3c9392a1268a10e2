"""A tree as files in a new folder, written through handles: nothing that lies there is ever followed."""

from __future__ import annotations

import os
from collections.abc import Callable

from pygent import files, gitignore
from pygent.errors import PygentError
from pygent.trees.cache import File, Known
from pygent.trees.objects import EXECUTABLE, FOLDER, LINK, REPOSITORY, Objects
from pygent.trees.stop import Stop

Seal = Callable[[], int]


def check_out(tree: bytes, handle: int, objects: Objects, stop: Stop) -> Known:
    """Write the files of a tree into an empty folder; what is known of it then.  Raises OSError, PygentError.

    A repository becomes an empty folder.
    """
    made = Known(tree)
    for name, (mode, oid) in objects.tree(tree).items():
        stop.check()
        if name in (b".", b"..") or b"/" in name or gitignore.is_repository_name(name):
            raise PygentError("denied", f"The snapshot holds a file with the name {os.fsdecode(name)}.")
        if mode == FOLDER:
            made.folders[name] = _folder(name, oid, handle, objects, stop)
        elif mode == REPOSITORY:
            os.mkdir(name, dir_fd=handle)
            made.files[name] = File(mode, oid)
        else:
            made.files[name] = _file(name, mode, oid, handle, objects)
    return made


def _folder(name: bytes, tree: bytes, handle: int, objects: Objects, stop: Stop) -> Known:
    os.mkdir(name, dir_fd=handle)
    inner = files.open_folder(os.fsdecode(name), handle)
    try:
        return check_out(tree, inner, objects, stop)
    finally:
        os.close(inner)


def _file(name: bytes, mode: int, oid: bytes, handle: int, objects: Objects) -> File:
    data = objects.read(oid)
    if mode == LINK:
        os.symlink(data, name, dir_fd=handle)
        return File.written(mode, oid, os.stat(name, dir_fd=handle, follow_symlinks=False))
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.open(name, flags, 0o777 if mode == EXECUTABLE else 0o666, dir_fd=handle)
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(file, left) :]
        return File.written(mode, oid, os.fstat(file))
    finally:
        os.close(file)
