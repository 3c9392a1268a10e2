"""Who issued a certificate that is not believed, so that a person can tell a proxy from an attack."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

_NAMES = {b"\x55\x04\x03": "CN", b"\x55\x04\x0a": "O"}
"""The attributes of a name that people know it by, by object identifier (2.5.4.3 and 2.5.4.10)."""


def cause_of(error: BaseException) -> ssl.SSLCertVerificationError | None:
    """The failed verification behind an error."""
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, ssl.SSLCertVerificationError):
        seen = seen.__cause__ or seen.__context__
    return seen


def unverified() -> ssl.SSLContext:
    """For one look at a certificate, with nothing sent that could be a secret."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def issuer(certificate: bytes) -> str | None:
    """The issuer of a DER certificate (RFC 5280, section 4.1), such as `Corp Proxy CA (Corp Inc)`."""
    try:
        _, whole = next(_parts(certificate))
        _, signed = next(_parts(whole))
        fields = [part for part in _parts(signed) if part[0] != 0xA0]  # the version may be left out
        return _name(fields[2][1])
    except (StopIteration, IndexError, ValueError):
        return None


def _name(name: bytes) -> str | None:
    known: dict[str, str] = {}
    for _, attributes in _parts(name):
        for _, attribute in _parts(attributes):
            (_, kind), (_, value) = list(_parts(attribute))[:2]
            if kind in _NAMES:
                known.setdefault(_NAMES[kind], value.decode("utf-8", "replace"))
    common, organisation = known.get("CN"), known.get("O")
    return f"{common} ({organisation})" if common and organisation else common or organisation


def _parts(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The elements of a DER sequence (X.690) as tag and contents."""
    at = 0
    while at + 2 <= len(data):
        tag, size, at = data[at], data[at + 1], at + 2
        if size & 0x80:
            count = size & 0x7F
            size, at = int.from_bytes(data[at : at + count], "big"), at + count
        if at + size > len(data):
            raise ValueError
        yield tag, data[at : at + size]
        at += size
