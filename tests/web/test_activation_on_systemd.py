"""The shipped socket unit and service under a real systemd: who connects, what a restart loses."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.lab import observers, parts
from tests.lab.host import Host, refusal
from tests.lab.require import unavailable

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]

PATH = "/run/badgateway.sock"
ASKED = (
    ("http://127.0.0.1:10502/-/healthy",),
    ("http://[::1]:10502/-/healthy",),
    ("--unix-socket", PATH, "http://localhost/-/healthy"),
)
MANY = (
    "for i in $(seq 60); do curl -sS -m 20 -o /dev/null -w '%{http_code}\\n' "
    "http://127.0.0.1:10502/-/healthy 2>&1; sleep 0.05; done"
)


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    if reason := refusal():
        unavailable(reason)
    try:
        with Host("activation") as host:
            text = (parts.CHECKOUT / "deploy" / "badgateway.socket").read_text()
            for more in ("[::1]:10502", PATH):  # as the unit itself says how
                line = f"#   ListenStream={more}\n"
                assert line in text
                text = text.replace(line, f"ListenStream={more}\n")
            observers.install_exporter(host, "discovery: {enabled: false}\n")
            host.write("/etc/default/badgateway", 'ARGS="--web.systemd-socket"\n')
            service = (parts.CHECKOUT / "deploy" / "badgateway.service").read_text()
            host.unit("badgateway.service", service)
            host.unit("badgateway.socket", text)
            host.write(
                "/etc/sysusers.d/scrapers.conf",
                "u scraper - Scraper /\nu guest - Guest /\nm scraper badgateway\n",
            )
            host.run(["systemd-sysusers"])
            host.systemctl("enable", "--now", "badgateway.socket")
            yield host
    except parts.PartMissing as missing:
        unavailable(str(missing))


def ask(host: Host, *where: str, user: str | None = None) -> str:
    words = ["curl", "-sS", "-m", "20", "-o", "/dev/null", "-w", "%{http_code}", *where]
    return host.run(words, user=user, check=False).stdout


def test_the_first_connection_starts_it_and_every_address_is_served(host: Host) -> None:
    assert host.systemctl("is-active", "badgateway.service", check=False) == "inactive\n"
    assert [ask(host, *where) for where in ASKED] == ["200"] * len(ASKED)


def test_members_of_its_group_may_connect_to_its_socket_and_others_not(host: Host) -> None:
    assert ask(host, *ASKED[-1], user="scraper") == "200"
    assert ask(host, *ASKED[-1], user="badgateway") == "200"
    assert ask(host, *ASKED[-1], user="guest") == "000"


@pytest.mark.parametrize(
    "change", [("restart", "badgateway"), ("kill", "-s", "KILL", "badgateway")]
)
def test_no_connection_is_refused_while_it_is_away(host: Host, change: tuple[str, ...]) -> None:
    assert ask(host, *ASKED[0]) == "200"
    before = host.pid("badgateway")
    asking = host.open(["sh", "-c", MANY], {})
    time.sleep(0.5)
    host.systemctl(*change)
    said, _ = asking.communicate(timeout=60)
    answers = said.split()
    assert answers.count("200") == 60 if change[0] == "restart" else answers.count("200") >= 59, (
        said
    )
    assert ask(host, *ASKED[0]) == "200"
    assert host.pid("badgateway") not in (0, before)


def test_it_may_listen_at_a_socket_of_its_own(host: Host) -> None:
    path = "/run/badgateway/http.sock"
    host.systemctl("stop", "badgateway.socket", "badgateway.service")
    host.write("/etc/default/badgateway", f'ARGS="--web.listen-address=unix:{path}"\n')
    try:
        for _ in range(2):
            host.systemctl("restart", "badgateway.service")
            own = ("--unix-socket", path, "http://localhost/-/healthy")
            assert ask(host, *own, user="scraper") == "200"
            assert ask(host, *own, user="guest") == "000"
    finally:
        host.systemctl("stop", "badgateway.service")
        host.write("/etc/default/badgateway", 'ARGS="--web.systemd-socket"\n')
        host.systemctl("start", "badgateway.socket")


def test_without_its_socket_unit_it_says_what_to_start(host: Host) -> None:
    host.systemctl("stop", "badgateway.socket", "badgateway.service")
    with pytest.raises(subprocess.CalledProcessError):
        host.systemctl("start", "badgateway.service")
    host.systemctl("stop", "badgateway.service")
    assert "systemctl start badgateway.socket" in host.journal("badgateway.service")
    host.systemctl("start", "badgateway.socket")
    assert ask(host, *ASKED[0]) == "200"
