"""How a connection leaves the machine: proxies, and whose certificates are believed.

Everything comes from the environment that the process was started with and from the settings; nothing
reads the environment of the moment.
"""

from __future__ import annotations

import ipaddress
import ssl
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from pygent.errors import ModelError


def loopback(host: str) -> bool:
    """Whether a host is this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    address = _address(host)
    return address is not None and address.is_loopback


def proxy_for(url: str, environ: Mapping[str, str]) -> str | None:
    """The proxy to an address, as curl chooses it: by HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY.

    This machine is never reached through one.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if loopback(host) or _excepted(parts, _variable(environ, "no_proxy")):
        return None
    proxy = _variable(environ, f"{parts.scheme}_proxy") or _variable(environ, "all_proxy")
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"


def proxy_passwords(environ: Mapping[str, str]) -> list[str]:
    """The passwords in the addresses of proxies, as they are written there and as they are meant."""
    found = []
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        for url in filter(None, (environ.get(name), environ.get(name.upper()))):
            user, _, _ = url.rpartition("@")
            password = user.rpartition("//")[2].partition(":")[2]
            found += [password, unquote(password)]
    return found


def _variable(environ: Mapping[str, str], name: str) -> str | None:
    """A variable in lower or upper case; the lower one counts first, as it does for curl."""
    return environ.get(name) or environ.get(name.upper()) or None


def _excepted(parts: SplitResult, listed: str | None) -> bool:
    """Whether NO_PROXY names the address: `*`, a host with or without port, a domain, an IP range."""
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    for entry in (listed or "").lower().replace(",", " ").split():
        name, wanted = _host_port(entry)
        domain = name.lstrip("*.")
        if wanted in ("", str(port)) and (
            name == "*" or host == domain or (domain and host.endswith(f".{domain}")) or _within(host, name)
        ):
            return True
    return False


def _host_port(entry: str) -> tuple[str, str]:
    host, _, port = entry.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        return host[1:-1], port
    if host and ":" not in host and port.isdigit():
        return host, port
    return entry.strip("[]"), ""


def _within(host: str, network: str) -> bool:
    address = _address(host)
    if address is None:
        return False
    try:
        return address in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def tls(environ: Mapping[str, str], bundle: Path | None) -> ssl.SSLContext:
    """Whose certificates are believed.

    SSL_CERT_FILE and SSL_CERT_DIR take the place of the system's store, as they do for OpenSSL; the bundle
    of the settings comes on top of either.  Raises ModelError for a file that can't be used.
    """
    file, folder = environ.get("SSL_CERT_FILE") or None, environ.get("SSL_CERT_DIR") or None
    if file or folder:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        _load(context, file, folder, "SSL_CERT_FILE" if file else "SSL_CERT_DIR")
    else:
        context = _system()
    if bundle is not None:
        is_folder = bundle.is_dir()
        _load(context, None if is_folder else str(bundle), str(bundle) if is_folder else None, "ca_bundle")
    return context


def _load(context: ssl.SSLContext, file: str | None, folder: str | None, name: str) -> None:
    try:
        context.load_verify_locations(file, folder)
    except (OSError, ssl.SSLError) as error:
        raise ModelError(
            f"{name} names {file or folder}, which can't be used: {error.strerror or error}.",
            f"Set {name} to a file of certificates in PEM form, or take it away.",
            code="configInvalid",
        ) from error


def _system() -> ssl.SSLContext:
    """The system's store; on macOS and Windows that of the system itself, asked by truststore."""
    if sys.platform in ("darwin", "win32"):
        import truststore  # noqa: PLC0415

        return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    paths = ssl.get_default_verify_paths()
    found = [Path(paths.openssl_cafile), *map(Path, _BUNDLES)]
    file = next((path for path in found if path.is_file()), None)
    folder = Path(paths.openssl_capath)
    if file is not None or folder.is_dir():
        context.load_verify_locations(file, folder if folder.is_dir() else None)
    return context


_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/cert.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
"""Where distributions keep their store, for a Python whose OpenSSL looks elsewhere."""
