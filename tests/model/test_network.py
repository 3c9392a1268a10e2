"""Proxies and private authorities, over real sockets on loopback."""

from __future__ import annotations

import ssl
import subprocess
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
import trustme
from tests.model.asking import KEY, Heard, client, prompt
from tests.model.proxy import Proxy, proxy

from pygent.errors import ModelError
from pygent.model.certificates import issuer
from pygent.model.client import EndpointModel
from pygent.model.network import loopback, proxy_for, tls
from pygent.replay import ReplayServer, Reply, Script

OK = Script(replies=[Reply(text="ok", times=0)])
NAME = "models.test"
"""A host that only a proxy can find."""


def serving(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    """A server's side with a certificate for the names."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*(names or (NAME, "127.0.0.1", "localhost"))).configure_cert(context)
    return context


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA(organization_name="Corp Inc", organization_unit_name="Private Root")


@pytest.fixture
def bundle(authority: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


# -- which proxy -----------------------------------------------------------------------------------

P = "http://proxy.test:3128"
HTTPS, HTTP = "https://models.test/v1", "http://models.test:8000/v1"
CHOICES: dict[str, tuple[str, dict[str, str], str | None]] = {
    "none": (HTTPS, {}, None),
    "https": (HTTPS, {"HTTPS_PROXY": P}, P),
    "lower case counts first": (HTTPS, {"https_proxy": P, "HTTPS_PROXY": "http://other"}, P),
    "http is for http": (HTTPS, {"HTTP_PROXY": P}, None),
    "http": (HTTP, {"HTTP_PROXY": P}, P),
    "all": (HTTPS, {"ALL_PROXY": P}, P),
    "all after its own": (HTTPS, {"ALL_PROXY": "http://other", "HTTPS_PROXY": P}, P),
    "without a scheme": (HTTPS, {"HTTPS_PROXY": "proxy.test:3128"}, P),
    "empty": (HTTPS, {"HTTPS_PROXY": ""}, None),
    "excepted host": (HTTPS, {"HTTPS_PROXY": P, "NO_PROXY": "models.test"}, None),
    "excepted domain": (HTTPS, {"HTTPS_PROXY": P, "NO_PROXY": "a, .test"}, None),
    "excepted star domain": (HTTPS, {"HTTPS_PROXY": P, "no_proxy": "*.test"}, None),
    "excepted parent": ("https://a.models.test", {"HTTPS_PROXY": P, "NO_PROXY": "models.test"}, None),
    "not its end alone": ("https://notmodels.test", {"HTTPS_PROXY": P, "NO_PROXY": "models.test"}, P),
    "everything excepted": (HTTPS, {"HTTPS_PROXY": P, "NO_PROXY": "*"}, None),
    "excepted port": (HTTP, {"HTTP_PROXY": P, "NO_PROXY": "models.test:8000"}, None),
    "another port": (HTTP, {"HTTP_PROXY": P, "NO_PROXY": "models.test:80"}, P),
    "the usual port": (HTTPS, {"HTTPS_PROXY": P, "NO_PROXY": "models.test:443"}, None),
    "an address": ("https://10.1.2.3", {"HTTPS_PROXY": P, "NO_PROXY": "10.1.2.3"}, None),
    "a range": ("https://10.1.2.3", {"HTTPS_PROXY": P, "NO_PROXY": "10.0.0.0/8"}, None),
    "another range": ("https://11.1.2.3", {"HTTPS_PROXY": P, "NO_PROXY": "10.0.0.0/8"}, P),
    "version 6": ("https://[fd00::1]/v1", {"HTTPS_PROXY": P, "NO_PROXY": "fd00::/8"}, None),
    "version 6 with a port": (
        "https://[fd00::1]:8443",
        {"HTTPS_PROXY": P, "NO_PROXY": "[fd00::1]:8443"},
        None,
    ),
    "only commas": (HTTPS, {"HTTPS_PROXY": P, "NO_PROXY": " , ,"}, P),
    "only a dot": (HTTPS, {"HTTPS_PROXY": P, "NO_PROXY": "."}, P),
    "this machine": ("http://localhost:1/v1", {"HTTP_PROXY": P, "ALL_PROXY": P}, None),
    "this machine by address": ("https://127.3.2.1/v1", {"HTTPS_PROXY": P}, None),
    "this machine by version 6": ("https://[::1]/v1", {"HTTPS_PROXY": P}, None),
    "this machine by a name below": ("http://api.localhost/v1", {"HTTP_PROXY": P}, None),
}


@pytest.mark.parametrize(("url", "environ", "wanted"), CHOICES.values(), ids=CHOICES.keys())
def test_the_choice_of_a_proxy(url: str, environ: dict[str, str], wanted: str | None) -> None:
    assert proxy_for(url, environ) == wanted


def test_what_is_this_machine() -> None:
    assert loopback("localhost")
    assert not loopback("localhost.example.com")
    assert not loopback("128.0.0.1")
    assert not loopback("")


# -- through proxies -------------------------------------------------------------------------------


async def test_https_goes_through_the_tunnel_of_a_proxy_that_wants_a_password(
    authority: trustme.CA, bundle: Path
) -> None:
    async with ReplayServer(OK, tls=serving(authority)) as server, proxy(server.port, "me:pw") as way:
        environ = {"HTTPS_PROXY": way.url, "SSL_CERT_FILE": str(bundle)}
        async with client(f"https://{NAME}/v1", environ=environ) as model:
            assert (await model.answer(prompt(), Heard().listener)).text == "ok"
            assert await model.models() == ["gpt-4.1-mini", "replayed"]
        assert way.asked == [f"CONNECT {NAME}:443 HTTP/1.1"]
        assert KEY not in "".join(way.heads), "the key travels inside the tunnel"
        assert server.headers[0]["authorization"] == f"Bearer {KEY}"


async def test_http_goes_through_a_proxy() -> None:
    async with ReplayServer(OK) as server, proxy(server.port) as way:
        async with _through(way) as model:
            assert (await model.answer(prompt(), Heard().listener)).text == "ok"
        assert way.asked[0] == f"POST http://{NAME}/v1/chat/completions HTTP/1.1"


async def test_a_proxy_that_refuses_is_named_without_its_password(
    authority: trustme.CA, bundle: Path
) -> None:
    async with ReplayServer(OK, tls=serving(authority)) as server, proxy(server.port, "me:pw") as way:
        wrong = way.url.replace("me:pw", "me:secret")
        environ = {"HTTPS_PROXY": wrong, "SSL_CERT_FILE": str(bundle)}
        heard = Heard()
        async with client(f"https://{NAME}/v1", environ=environ) as model:
            with pytest.raises(ModelError) as error:
                await model.answer(prompt(), heard.listener)
        assert "407" in error.value.message
        assert "HTTPS_PROXY" in str(error.value.fix)
        assert "secret" not in error.value.message
        assert heard.notices == []


async def test_a_proxy_that_is_not_there_is_named() -> None:
    environ = {"HTTPS_PROXY": "http://me:secret@127.0.0.1:9"}
    async with client(f"https://{NAME}/v1", environ=environ) as model:
        with pytest.raises(ModelError) as error:
            await model.models()
    assert "through the proxy http://127.0.0.1:9" in error.value.message
    assert "secret" not in error.value.message


async def test_this_machine_is_never_reached_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    environ = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9")
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    async with ReplayServer(OK) as server, client(server.base_url, environ=environ) as model:
        assert (await model.answer(prompt(), Heard().listener)).text == "ok"


async def test_only_the_environment_of_the_start_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    async with ReplayServer(OK) as server, proxy(server.port) as way, _through(way) as model:
        assert (await model.answer(prompt(), Heard().listener)).text == "ok"


def _through(way: Proxy) -> AbstractAsyncContextManager[EndpointModel]:
    return client(f"http://{NAME}/v1", environ={"HTTP_PROXY": way.url})


async def test_a_socks_proxy(authority: trustme.CA) -> None:
    async with client(f"https://{NAME}/v1", environ={"ALL_PROXY": "socks5://127.0.0.1:9"}) as model:
        with pytest.raises(ModelError, match=r"proxy socks5://127\.0\.0\.1:9"):
            await model.models()


async def test_a_proxy_of_an_unknown_kind_is_said_to_be() -> None:
    async with client(f"https://{NAME}/v1", environ={"ALL_PROXY": "gopher://127.0.0.1:9"}) as model:
        with pytest.raises(ModelError, match="gopher"):
            await model.models()


# -- whom to believe -------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["SSL_CERT_FILE", "SSL_CERT_DIR", "ca_bundle", "a folder"])
async def test_a_private_authority(wire: str, way: str, authority: trustme.CA, bundle: Path) -> None:
    hashed = bundle.parent / "hashed"
    hashed.mkdir()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(bundle)
    (hashed / f"{_hash(bundle)}.0").write_bytes(bundle.read_bytes())
    environ = {"SSL_CERT_FILE": str(bundle)} if way == "SSL_CERT_FILE" else {}
    environ |= {"SSL_CERT_DIR": str(hashed)} if way == "SSL_CERT_DIR" else {}
    chosen = {"ca_bundle": bundle, "a folder": hashed}.get(way)
    async with (
        ReplayServer(OK, tls=serving(authority)) as server,
        client(server.base_url, wire, environ=environ, ca_bundle=chosen) as model,
    ):
        assert (await model.answer(prompt(), Heard().listener)).text == "ok"


def _hash(certificate: Path) -> str:
    """The name under which OpenSSL looks an authority up in a folder."""
    command = ["openssl", "x509", "-noout", "-subject_hash", "-in", str(certificate)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


async def test_who_is_not_believed_is_named_with_the_host(wire: str, authority: trustme.CA) -> None:
    heard = Heard()
    async with ReplayServer(OK, tls=serving(authority)) as server, client(server.base_url, wire) as model:
        with pytest.raises(ModelError) as error:
            await model.answer(prompt(), heard.listener)
        assert server.headers == [], "nothing was sent to it"
    assert "issued by Corp Inc" in error.value.message
    assert "of 127.0.0.1 is not trusted" in error.value.message
    assert "ca_bundle" in str(error.value.fix)
    assert heard.notices == []


async def test_a_proxy_that_breaks_the_tunnel_open_is_named(authority: trustme.CA) -> None:
    async with ReplayServer(OK, tls=serving(authority)) as server, proxy(server.port) as way:
        async with client(f"https://{NAME}/v1", environ={"HTTPS_PROXY": way.url}) as model:
            with pytest.raises(ModelError, match="issued by Corp Inc"):
                await model.answer(prompt(), Heard().listener)
        assert KEY not in "".join(way.heads)


async def test_a_certificate_of_another_host(authority: trustme.CA, bundle: Path) -> None:
    context = serving(authority, "other.test")
    async with ReplayServer(OK, tls=context) as server, client(server.base_url, ca_bundle=bundle) as model:
        with pytest.raises(ModelError, match=r"IP address mismatch.*127\.0\.0\.1"):
            await model.answer(prompt(), Heard().listener)


@pytest.mark.parametrize("content", [None, b"no certificate"])
async def test_a_bundle_that_can_not_be_used(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    async with client(f"https://{NAME}/v1", ca_bundle=path) as model:
        with pytest.raises(ModelError, match=r"ca_bundle names .*ca\.pem") as error:
            await model.answer(prompt(), Heard().listener)
    assert error.value.code == "configInvalid"


def test_the_system_is_believed_beside_the_bundle(bundle: Path) -> None:
    plain, more = tls({}, None), tls({}, bundle)
    assert len(more.get_ca_certs()) == len(plain.get_ca_certs()) + 1
    assert plain.verify_mode == more.verify_mode == ssl.CERT_REQUIRED
    assert plain.check_hostname


def test_issuers(authority: trustme.CA) -> None:
    certificate = authority.issue_cert("a.test").cert_chain_pems[0].bytes().decode()
    der = ssl.PEM_cert_to_DER_cert(certificate)
    assert issuer(der) == "Corp Inc"
    for cut in range(len(der)):
        issuer(der[:cut])
    assert issuer(b"") is None
    assert issuer(b"\x30\x82\xff\xff" * 20) is None
