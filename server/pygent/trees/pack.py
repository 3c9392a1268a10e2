"""Git's packs, as gitformat-pack(5) describes them: written in one go, each object whole.

The pack gets its name before its index does, and both are on the disk by then: without an index a pack is
not there for any reader, so that a crash at any instant leaves a usable repository.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import struct
import zlib
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple


class Kind(NamedTuple):
    """A kind of object: its name in what is hashed, and its number in packs and in libgit2."""

    name: bytes
    number: int


TREE, BLOB = Kind(b"tree", 2), Kind(b"blob", 3)
LEVEL = 1
"""Of compression: most of the time goes there, and a clean-up packs tighter."""
PIECE = 1 << 20
_LARGE_OFFSET = 1 << 31


class PackWriter:
    """A pack that grows in a temporary file until `finish`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._path = folder / f"tmp_pack_{secrets.token_hex(8)}"
        self._file = self._path.open("x+b", buffering=PIECE)
        self._file.write(struct.pack(">4sII", b"PACK", 2, 0))
        self._end = 12
        self._index: dict[bytes, tuple[int, int]] = {}

    def __contains__(self, oid: bytes) -> bool:
        return oid in self._index

    def add(self, kind: Kind, oid: bytes, data: bytes) -> None:
        """Add an object that is not in it yet."""
        entry = _header(kind, len(data)) + zlib.compress(data, LEVEL)
        self._index[oid] = zlib.crc32(entry), self._end
        self._file.write(entry)
        self._end += len(entry)

    def add_file(
        self, handle: int, size: int, known: Callable[[bytes], bool], check: Callable[[], None]
    ) -> bytes | None:
        """Add a blob from an open file, unless it is `known`; None if the file is shorter.

        `check` is called at each piece, and may raise to end it all.
        """
        digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
        packing, entry, left = zlib.compressobj(LEVEL), _header(BLOB, size), size
        checksum = zlib.crc32(entry)
        self._file.write(entry)
        while left and (piece := os.read(handle, min(left, PIECE))):
            check()
            left -= len(piece)
            digest.update(piece)
            packed = packing.compress(piece)
            checksum = zlib.crc32(packed, checksum)
            self._file.write(packed)
        packed = packing.flush()
        self._file.write(packed)
        oid = digest.digest()
        if left != 0 or known(oid):
            self._file.seek(self._end)
            self._file.truncate()
            return oid if left == 0 else None
        self._index[oid] = zlib.crc32(packed, checksum), self._end
        self._end = self._file.tell()
        return oid

    def finish(self) -> None:
        """Let everybody see it."""
        with self._file:
            if not self._index:
                self._path.unlink()
                return
            checksum = self._seal()
        final = self._path.with_name(f"pack-{checksum.hex()}.pack")
        index = self._path.with_name(f"tmp_idx_{secrets.token_hex(8)}")
        with index.open("xb") as file:
            file.write(_index(self._index, checksum))
            file.flush()
            os.fsync(file.fileno())
        for path in (self._path, index):
            path.chmod(0o444)
        self._path.replace(final)
        index.replace(final.with_suffix(".idx"))

    def discard(self) -> None:
        """Leave nothing behind."""
        self._file.close()
        self._path.unlink(missing_ok=True)

    def _seal(self) -> bytes:
        """Write the number of objects and the checksum."""
        self._file.seek(0)
        self._file.write(struct.pack(">4sII", b"PACK", 2, len(self._index)))
        self._file.seek(0)
        digest = hashlib.sha1(usedforsecurity=False)
        while piece := self._file.read(PIECE):
            digest.update(piece)
        self._file.write(digest.digest())
        self._file.flush()
        os.fsync(self._file.fileno())
        return digest.digest()


def _header(kind: Kind, size: int) -> bytes:
    """The kind of an object and its size, seven bits a byte after the first, which has four."""
    byte, size = kind.number << 4 | size & 15, size >> 4
    header = bytearray()
    while size:
        header.append(byte | 0x80)
        byte, size = size & 0x7F, size >> 7
    header.append(byte)
    return bytes(header)


def _index(objects: dict[bytes, tuple[int, int]], checksum: bytes) -> bytes:
    """An index of version 2."""
    oids = sorted(objects)
    counts = [0] * 256
    for oid in oids:
        counts[oid[0]] += 1
    offsets = [objects[oid][1] for oid in oids]
    large = [offset for offset in offsets if offset >= _LARGE_OFFSET]
    numbers = iter(range(len(large)))
    small = [offset if offset < _LARGE_OFFSET else _LARGE_OFFSET | next(numbers) for offset in offsets]
    body = b"".join(
        (
            b"\377tOc\0\0\0\2",
            struct.pack(">256I", *accumulate(counts)),
            *oids,
            struct.pack(f">{len(oids)}I", *(objects[oid][0] for oid in oids)),
            struct.pack(f">{len(oids)}I", *small),
            struct.pack(f">{len(large)}Q", *large),
            checksum,
        )
    )
    return body + hashlib.sha1(body, usedforsecurity=False).digest()


def sizes(index: Path) -> dict[bytes, int]:
    """The bytes on disk of each object of a pack, by id, from its index."""
    data = index.read_bytes()
    if data[:8] != b"\377tOc\0\0\0\2":
        raise OSError(f"{index.name} is no index of version 2")
    (count,) = struct.unpack_from(">I", data, 8 + 255 * 4)
    ids = 8 + 256 * 4
    at = ids + count * 24
    offsets = list(struct.unpack_from(f">{count}I", data, at))
    for number, offset in enumerate(offsets):
        if offset >= _LARGE_OFFSET:
            (offsets[number],) = struct.unpack_from(">Q", data, at + 4 * count + 8 * (offset - _LARGE_OFFSET))
    end = index.with_suffix(".pack").stat().st_size - 20
    order = sorted(range(count), key=offsets.__getitem__)
    following = [*(offsets[number] for number in order[1:]), end]
    return {
        data[ids + 20 * number : ids + 20 * number + 20]: after - offsets[number]
        for number, after in zip(order, following, strict=True)
    }
