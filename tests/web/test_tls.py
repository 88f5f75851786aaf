"""TLS as a client meets it, with the configuration exchanged under a running exporter.

The cases are those of exporter-toolkit's TestServerBehaviour and TestConfigReloading, and ours.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from badgateway.web import clienthello
from tests.web import world
from tests.web.world import Served, client_context, get, replace, status

TLS = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n"


class Site:
    """A served exporter and its web configuration."""

    def __init__(self, directory: Path, served: Served) -> None:
        self.directory, self.served = directory, served
        self.path = directory / "web.yml"

    def use(self, fixture: str) -> None:
        world.place(world.FIXTURES / "good" / f"{fixture}.yml", self.directory)

    def write(self, text: str) -> None:
        replace(self.path, text)

    def client(self, certificate: str = "") -> ssl.SSLContext:
        return client_context(self.directory, certificate)

    def get(self, client: ssl.SSLContext) -> bytes:
        with self.served.tls(client) as talking:
            talking.sendall(get())
            return world.everything(talking)


@pytest.fixture(scope="module")
def site(certificates: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with serving(certificates, tmp_path_factory.mktemp("tls")) as site:
        yield site


@pytest.fixture
def demanding(certificates: Path, tmp_path: Path) -> Iterator[Site]:
    """One that goes on demanding what it has demanded once."""
    with serving(certificates, tmp_path) as site:
        yield site


@contextlib.contextmanager
def serving(certificates: Path, directory: Path) -> Iterator[Site]:
    for file in certificates.iterdir():
        if file.suffix in (".crt", ".key"):
            shutil.copy(file, directory)
    (directory / "web.yml").write_text(TLS)
    with Served(directory, f"--web.config.file={directory / 'web.yml'}") as served:
        yield Site(directory, served)


def refused(site: Site, client: ssl.SSLContext) -> bool:
    """Whether a client gets no answer: by its handshake, or right after it (TLS 1.3)."""
    try:
        return site.get(client) == b""
    except (ssl.SSLError, ConnectionError):
        return True


@pytest.mark.parametrize(
    "fixture",
    ["tls", "tls_inline", "tls_all_ciphers", "tls_all_curves", "tls_no_http2", "tls_request",
     "tls_file_and_inline"],
)  # fmt: skip
def test_a_client_is_answered(site: Site, fixture: str) -> None:
    site.use(fixture)
    assert status(site.get(site.client())) == 200


def test_it_says_https(site: Site) -> None:
    assert site.served.url.startswith("https://127.0.0.1:")


def test_plain_http_is_told_what_to_speak(site: Site) -> None:
    site.use("tls")
    answer = site.served.ask(get())
    assert answer.startswith(b"HTTP/1.0 400 ")
    assert b"Client sent an HTTP request to an HTTPS server." in answer


def test_an_older_version_is_refused(site: Site) -> None:
    site.use("tls")
    client = site.client()
    client.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.deprecated_call():
        client.minimum_version = client.maximum_version = ssl.TLSVersion.TLSv1_1
    assert refused(site, client)
    site.use("tls_old_versions")
    with site.served.tls(client) as talking:
        assert talking.version() == "TLSv1.1"


def test_a_version_is_the_least(site: Site) -> None:
    site.write(TLS + "  min_version: TLS13\n")
    client = site.client()
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    assert refused(site, client)
    with site.served.tls(site.client()) as talking:
        assert talking.version() == "TLSv1.3"


def chosen(site: Site, client: ssl.SSLContext) -> str:
    """Return the cipher suite a handshake ends with."""
    with site.served.tls(client) as talking:
        cipher = talking.cipher()
    assert cipher is not None
    return cipher[0]


def test_the_ciphers_are_those_listed_in_the_servers_order(site: Site) -> None:
    site.use("tls_some_ciphers")
    client = site.client()
    client.set_ciphers("ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256")
    assert chosen(site, client) == "ECDHE-RSA-AES128-GCM-SHA256"
    client.set_ciphers("ECDHE-RSA-AES256-SHA")
    assert refused(site, client)


def test_the_client_chooses_where_the_server_does_not(site: Site) -> None:
    site.use("tls_some_ciphers_no_order")
    client = site.client()
    client.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384")
    assert chosen(site, client) == "ECDHE-RSA-AES128-GCM-SHA256"


def test_only_suites_of_tls_13_leave_only_tls_13(site: Site) -> None:
    site.write(
        TLS + "  cipher_suites: [TLS_AES_128_GCM_SHA256]\nhttp_server_config: {http2: false}\n"
    )
    client = site.client()
    assert status(site.get(client)) == 200
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    assert refused(site, client)


def key_exchange(site: Site, curves: str) -> str:
    """Return what openssl says of the key exchange of a client that offers these curves."""
    told = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{site.served.port}", "-groups", curves],
        input="", capture_output=True, text=True, check=False, timeout=20,
    )  # fmt: skip
    found = [line for line in told.stdout.splitlines() if "Temp Key" in line]
    return found[0] if found else "none"


def test_one_curve_is_used(site: Site) -> None:
    site.use("tls_one_curve")
    assert "secp521r1" in key_exchange(site, "P-521").lower()
    assert key_exchange(site, "P-384") == "none"


def test_of_two_curves_the_first_that_the_client_has_is_used(site: Site) -> None:
    site.use("tls_two_curves")  # P-384 and P-256
    assert "secp384r1" in key_exchange(site, "X25519:P-256:P-384").lower()
    assert "prime256v1" in key_exchange(site, "X25519:P-256").lower()
    assert key_exchange(site, "X25519") == "none"


def test_a_hello_in_pieces_is_understood(site: Site) -> None:
    site.use("tls_two_curves")
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    talking = site.client().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        talking.do_handshake()
    hello = outgoing.read()
    with site.served.connect() as raw:
        raw.sendall(hello[:3])
        time.sleep(0.1)
        raw.sendall(hello[3:200])
        time.sleep(0.1)
        raw.sendall(hello[200:])
        answer = raw.recv(5)
    assert answer[:1] == b"\x16"  # a handshake goes on


def test_what_is_no_hello_offers_nothing() -> None:
    for content in (b"", b"\x01", b"\x01\0\0\x02\x03\x03", b"\x02" + bytes(40), bytes(300)):
        assert clienthello.groups(content) == frozenset()


@pytest.mark.parametrize("fixture", ["tls_require_and_verify", "tls_client_ca_inline"])
def test_a_client_certificate_is_required_and_verified(demanding: Site, fixture: str) -> None:
    demanding.use(fixture)
    assert status(demanding.get(demanding.client("client"))) == 200
    assert refused(demanding, demanding.client())
    assert refused(demanding, demanding.client("stranger"))


@pytest.mark.parametrize("fixture", ["tls_default_verification", "tls_client_ca_missing"])
def test_without_a_client_ca_the_systems_are_asked(demanding: Site, fixture: str) -> None:
    demanding.use(fixture)
    assert refused(demanding, demanding.client())
    assert refused(demanding, demanding.client("client"))


def test_a_certificate_that_is_given_is_verified(site: Site) -> None:
    site.write(TLS + "  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: client.crt\n")
    assert status(site.get(site.client())) == 200
    assert status(site.get(site.client("client"))) == 200
    assert refused(site, site.client("stranger"))


@pytest.mark.parametrize(
    ("names", "allowed"),
    [
        ("one, client.example", True), ("ops@client.example", True), ("spiffe://x/y", True),
        ("'::1'", True), ("other", False), ("client", False), ("CLIENT.example", False),
    ],
)  # fmt: skip
def test_a_name_of_the_certificate_must_be_allowed(
    demanding: Site, names: str, allowed: bool
) -> None:
    demanding.write(
        f"{TLS}  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: client.crt\n"
        f"  client_allowed_sans: [{names}]\n"
    )
    if allowed:
        assert status(demanding.get(demanding.client("client"))) == 200
    else:
        assert refused(demanding, demanding.client("client"))


@pytest.mark.parametrize("left", ["", "  client_auth_type: VerifyClientCertIfGiven\n"])
def test_a_client_certificate_that_was_required_is_required_still(
    demanding: Site, left: str
) -> None:
    demanding.use("tls_require_and_verify")
    assert status(demanding.get(demanding.client("client"))) == 200
    demanding.write(TLS + left)  # as a file that is being written is for a moment
    assert refused(demanding, demanding.client())
    demanding.served.wait_for_log("client_auth_type is RequireAndVerifyClientCert no more; restart")
    demanding.use("tls_require_and_verify")
    assert refused(demanding, demanding.client())
    assert status(demanding.get(demanding.client("client"))) == 200


def test_names_that_were_allowed_are_not_widened_to_all(demanding: Site) -> None:
    demanding.use("tls_sans")
    assert status(demanding.get(demanding.client("client"))) == 200
    demanding.use("tls_require_and_verify")
    assert refused(demanding, demanding.client("client"))


def test_a_new_certificate_is_used_from_the_next_handshake_on(site: Site) -> None:
    site.use("tls")
    before = site.get(site.client())
    keys = {f: (site.directory / f).read_text() for f in ("server.crt", "server.key")}
    try:
        for name in keys:
            replace(site.directory / name, (site.directory / f"stranger{name[6:]}").read_text())
        client = ssl.create_default_context(cafile=str(site.directory / "stranger.crt"))
        client.check_hostname = False
        assert status(site.get(client)) == status(before) == 200
    finally:
        for name, text in keys.items():
            replace(site.directory / name, text)
    assert status(site.get(site.client())) == 200


def test_a_file_that_becomes_bad_refuses_until_it_is_good(site: Site) -> None:
    site.use("tls")
    with site.served.tls(site.client()) as kept:
        kept.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
        assert status(world.one_answer(kept)) == 200
        told = site.served.log.read_text().count("cannot be used, nothing is served")
        site.write(TLS + "  min_versio: TLS12\n")
        assert refused(site, site.client())
        kept.sendall(get())
        answer = world.everything(kept)
    assert status(answer) == 500
    assert answer.endswith(b"\r\n\r\nInternal Server Error\n")
    site.served.wait_for_log("cannot be used, nothing is served", told + 1)
    assert "web.yml:4:3: tls_server_config.min_versio: unknown key" in site.served.log.read_text()
    site.use("tls")
    assert status(site.get(site.client())) == 200
    site.served.wait_for_log("the web configuration can be used again")


def test_a_missing_key_refuses_handshakes_and_heals(site: Site) -> None:
    site.use("tls")
    key = site.directory / "server.key"
    key.rename(site.directory / "away")
    try:
        assert refused(site, site.client())
        site.served.wait_for_log("server.key: No such file or directory")
    finally:
        (site.directory / "away").rename(key)
    assert status(site.get(site.client())) == 200


def test_a_key_that_is_a_pipe_is_not_waited_for(site: Site) -> None:
    site.use("tls")
    key = site.directory / "server.key"
    key.rename(site.directory / "away")
    os.mkfifo(key)
    try:
        assert refused(site, site.client())
        site.served.wait_for_log("server.key: Not a regular file")
    finally:
        (site.directory / "away").rename(key)
    assert status(site.get(site.client())) == 200


@pytest.mark.parametrize("text", ["", "rate_limit: {}\n", "basic_auth_users: {}\n"])
def test_what_was_encrypted_is_never_served_plain(site: Site, text: str) -> None:
    site.use("tls")
    assert status(site.get(site.client())) == 200
    site.write(text)
    assert site.served.ask(get()) == b""
    assert refused(site, site.client())
    site.use("tls")
    assert status(site.get(site.client())) == 200


def test_idle_connections_stop_no_handshake(site: Site) -> None:
    site.use("tls")
    with contextlib.ExitStack() as stack:
        for number in range(400):
            idle = stack.enter_context(site.served.connect())
            idle.sendall(b"\x16\x03\x01\x02" if number % 2 else b"")
            if number % 100 == 99:
                begun = time.monotonic()
                assert status(site.get(site.client())) == 200
                assert time.monotonic() - begun < 1


def test_garbage_is_closed(site: Site) -> None:
    site.use("tls")
    with site.served.connect() as raw:
        raw.sendall(b"\x16\x03\x01\x00\x05hello" + bytes(500))
        answer = world.everything(raw)
    assert answer[:1] in (b"\x15", b"")  # an alert, or nothing
    assert b"HTTP" not in answer


def test_tls_that_is_switched_on_later_counts_from_then_on(
    certificates: Path, tmp_path: Path
) -> None:
    for name in ("server.crt", "server.key"):
        shutil.copy(certificates / name, tmp_path)
    path = tmp_path / "web.yml"
    path.write_text("")
    with Served(tmp_path, f"--web.config.file={path}") as served:
        with served.connect() as kept:
            kept.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
            assert status(world.one_answer(kept)) == 200
            replace(path, TLS)
            kept.sendall(get("/metrics", "X-Forwarded-Proto: https"))
            answer = world.everything(kept)
        assert status(answer) == 400
        assert b"badgateway_" not in answer
        with served.tls(client_context(tmp_path)) as talking:
            talking.sendall(get())
            assert status(world.everything(talking)) == 200


def test_a_client_that_goes_away_leaves_nothing_open(site: Site) -> None:
    site.use("tls")
    before = site.served.descriptors
    for _ in range(30):
        with site.served.connect() as raw:
            raw.sendall(b"\x16\x03\x01\x02\x00")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    deadline = time.monotonic() + 5
    while site.served.descriptors > before + 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert site.served.descriptors <= before + 1
