"""Counting on a real host, by the shipped unit: exact under kills, lost buses and forgeries."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from tests.rehearsal import BASE, Rehearsal, rehearsal, until
from tests.servers import Series, is_counter

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

FORGER = r"""
import socket
import struct
import sys


def send(*pairs):
    data = b""
    for name, value in pairs:
        data += name + b"\n" + struct.pack("<Q", len(value)) + value + b"\n"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(data, "/run/systemd/journal/socket")


send((b"MESSAGE", b"a\0b\x1b[31mred"), (b"MESSAGE", b"given twice"))
send((b"MESSAGE", b"\xff\xfe is no UTF-8"))
send((b"PRIORITY", b"3"))
send((b"MESSAGE", b"x" * 60000))
send(
    (b"MESSAGE", b"Main process exited, code=killed, status=9/KILL"),
    (b"MESSAGE_ID", b"98e322203f7a4ed290d09fe03c09fe15"),
    (b"UNIT", b"hostile.service"), (b"UNIT", b"looping.service"), (b"EXIT_CODE", b"killed"),
    (b"EXIT_STATUS", b"9"), (b"COMMAND", b"ExecStart"), (b"INVOCATION_ID", b"aa"),
)
send((b"MESSAGE", b"Suppressed"), (b"MESSAGE_ID", b"a596d6fe7bfa4994828e72309e95d61e"))
print("x" * 1_000_000, file=sys.stderr)
print("INFO:     Child process [1] died", file=sys.stderr)
"""


@pytest.fixture(scope="module")
def site() -> Iterator[Rehearsal]:
    """One application in a tight crash loop, one with dying workers, one that is well."""
    with rehearsal("counting") as site:
        site.application("looping", 8101, service="Restart=always\nRestartSec=150ms")
        site.application("dying", 8102, "--workers 2")
        site.application("well", 8103)
        forge = '    if scope["path"] == "/forge":\n        '
        forge += 'import subprocess, sys; subprocess.run([sys.executable, "/srv/forge.py"])\n'
        source = BASE.replace("    status = ", f"{forge}    status = ", 1)
        site.application("hostile", 8104, "--workers 2", source=source)
        site.host.write("/srv/forge.py", FORGER)
        site.break_code("looping")
        site.break_code("dying")
        site.caddyfile(**site.proxied())
        site.host.systemctl("daemon-reload")
        site.host.systemctl("start", "caddy", *site.sites)
        site.start_exporter()
        until(lambda: len(site.answers()) == 4, 60)
        yield site


def both(site: Rehearsal, unit: str) -> tuple[int, int]:
    """systemd's count of restarts and ours, at a moment when neither moves."""
    site.still(unit)
    counts = site.restarts(unit), site.settled("service_restarts_total", backend=unit)
    site.host.systemctl("kill", "-s", "CONT", unit)
    return counts


def deaths(site: Rehearsal) -> tuple[int, int]:
    """Workers' deaths told by the journal and counted, while nothing moves."""
    site.still("dying")
    argv = ["journalctl", "-u", "dying", "-o", "cat", "--grep", "^ModuleNotFoundError"]
    told = len(site.host.run(argv).stdout.splitlines())
    counted = site.settled("worker_recycles_total", backend="dying", reason="boot_failure")
    site.host.systemctl("kill", "-s", "CONT", "dying")
    return told, counted


def test_a_restart_is_counted_within_a_second(site: Rehearsal) -> None:
    before = site.total("service_restarts_total", backend="well", reason="manual")
    site.host.systemctl("restart", "well")
    begun = time.monotonic()
    until(
        lambda: site.total("service_restarts_total", backend="well", reason="manual") > before,
        5, 0.05,
    )  # fmt: skip
    assert time.monotonic() - begun < 1.5  # of which the scrapes themselves take a third


def test_units_read_anew_in_a_tight_loop_are_not_counted_anew(site: Rehearsal) -> None:
    before = both(site, "looping")
    for _ in range(6):
        site.host.systemctl("daemon-reload")
        time.sleep(0.7)
    after = both(site, "looping")
    assert after[0] - before[0] > 3
    assert after[1] - before[1] == after[0] - before[0]


def test_under_kills_no_series_steps_back_and_all_is_counted_once(site: Rehearsal) -> None:
    before, died = both(site, "looping"), deaths(site)
    asked = site.total("upstream_failures_total", backend="looping")
    last: dict[Series, float] = {}
    born: list[Series] = []
    ending = threading.Event()
    clients = 0

    def ask() -> None:
        nonlocal clients
        while not ending.is_set():
            clients += site.get("looping") == "502"

    client = threading.Thread(target=ask)
    client.start()
    scrapes = 0
    try:
        for _ in range(8):
            seen, limit = 0, time.monotonic() + 30
            while seen < 5 and time.monotonic() < limit:
                now = site.scrape()
                for series in filter(is_counter, last):
                    assert not now or series in now, f"{series} was lost"
                    assert not now or now[series] >= last[series], f"{series} stepped back"
                if last:
                    born += [s for s in now if is_counter(s) and s not in last and now[s]]
                last |= now
                seen += bool(now)
                scrapes += bool(now)
                time.sleep(0.2)
            site.host.systemctl("kill", "-s", "KILL", "badgateway", check=False)
            # so many starts in so little time systemd would refuse
            site.host.systemctl("reset-failed", "badgateway", check=False)
            site.host.systemctl("start", "badgateway", check=False)
    finally:
        ending.set()
        client.join()
    until(lambda: "looping" in site.answers(), 60)
    assert scrapes > 16
    assert born == []
    after, dead = both(site, "looping"), deaths(site)
    assert after[1] - before[1] == after[0] - before[0] > 10
    assert dead[1] - died[1] == dead[0] - died[0] > 10

    def failed() -> int:
        return int(site.settled("upstream_failures_total", backend="looping") - asked)

    # a busy machine may take its time to read on; what it ends with must be exact
    until(lambda: failed() >= clients, 60)
    assert failed() == clients > 10


def test_restarts_while_the_bus_is_away_are_counted_and_states_are_unknown(
    site: Rehearsal,
) -> None:
    before = site.total("service_restarts_total", backend="well")
    site.host.systemctl("kill", "-s", "STOP", "badgateway")
    site.host.systemctl("kill", "-s", "KILL", "dbus")
    site.host.systemctl("restart", "well")
    site.host.systemctl("kill", "-s", "CONT", "badgateway")
    seen: set[tuple[float, float]] = set()

    def back() -> bool:
        now = site.scrape()
        up = now["badgateway_source_up", (("source", "systemd"),)]
        labels = {"backend": "well", "manager": "systemd", "unit": "well.service"}
        unknown = now[
            "badgateway_service_state", tuple(sorted({**labels, "state": "unknown"}.items()))
        ]
        seen.add((up, unknown))
        counted = site.total("service_restarts_total", backend="well") == before + 1
        return up == 1 and counted

    until(back, 20, 0.1)
    assert (0.0, 0.0) not in seen
    assert site.host.systemctl("is-active", "dbus").strip() == "active"
    site.host.systemctl("restart", "well")
    until(lambda: site.total("service_restarts_total", backend="well") == before + 2, 5)


def test_forged_journal_fields_count_nothing(site: Rehearsal) -> None:
    names = ("worker_recycles_total", "server_exits_total", "service_exits_total")
    assert site.get("hostile", "/forge") == "200"
    time.sleep(3)
    for name in names:
        assert site.total(name, backend="hostile") == 0, name
    assert site.total("source_gaps_total", source="journal") == 0
    assert site.values("source_up", source="journal") == [1.0]
    assert site.cause("hostile") == ("none", "")


def test_what_the_journal_would_tell_has_no_series_where_it_may_not_be_read(
    site: Rehearsal,
) -> None:
    site.host.systemctl("stop", "badgateway")
    site.host.run(["rm", "-rf", "/var/lib/badgateway", "/var/lib/private/badgateway"])
    site.host.write(
        "/etc/systemd/system/badgateway.service.d/rights.conf",
        "[Service]\nSupplementaryGroups=\n",
    )
    site.host.systemctl("daemon-reload")
    site.host.systemctl("start", "badgateway")
    until(lambda: site.answers().keys() >= {"looping", "dying"}, 60)
    assert site.values("source_up", source="journal") == [0.0]
    for name in ("server_exits_total", "upstream_failures_total"):
        assert site.values(name) == [], name
    assert site.values("service_restarts_total", backend="dying")
    # states and files still tell
    until(lambda: site.cause("looping") == ("missing_dependency", "slowapi-like"), 20)
    until(lambda: site.cause("dying") == ("missing_dependency", "slowapi-like"), 20)
