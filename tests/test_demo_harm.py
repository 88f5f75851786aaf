"""A demonstration harms nobody: not the machine it runs on, however it ends.

The machine of these tests is itself a booted host, so that nobody else changes anything on it
meanwhile and the comparison needs no list of exceptions beyond ``_OTHERS``.
"""

from __future__ import annotations

import fnmatch
import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.lab import parts
from tests.lab.host import CHECKOUT_INSIDE, Host, refusal
from tests.lab.observers import PACKAGES
from tests.lab.require import unavailable
from tests.lab.wheels import wheelhouse

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]

_PYTHON = f"{CHECKOUT_INSIDE}/.venv/bin/python"
_OTHERS = (
    "/run/log/journal/*",  # the quiet machine's own journal
    "/run/systemd/*",  # what its systemd keeps about its units
)
_GONE_SECONDS = 20.0


@pytest.fixture
def quiet() -> Iterator[Host]:
    """A machine on which nothing happens but what the test does."""
    if reason := refusal():
        unavailable(f"no host can be booted: {reason}")
    for package in ("caddy", *PACKAGES):
        parts.unpacked(package)
    wheelhouse()
    with Host("quiet") as host:
        (parts.LAB / "runs").mkdir(exist_ok=True)
        for checkout in (CHECKOUT_INSIDE, parts.CHECKOUT):  # it is seen at both places
            host.run(["mount", "-t", "tmpfs", "tmpfs", f"{checkout}/.lab/runs"])
        yield host


def _snapshot(host: Host) -> dict[str, Any]:
    environment = {"PYTHONPATH": CHECKOUT_INSIDE}
    said = host.run([_PYTHON, "-m", "tests.lab.snapshot"], environment=environment).stdout
    seen: dict[str, Any] = json.loads(said)
    seen["files"] = {
        path: status
        for path, status in seen["files"].items()
        if not any(fnmatch.fnmatch(path, pattern) for pattern in _OTHERS)
    }
    return seen


def _assert_as_before(host: Host, before: dict[str, Any]) -> None:
    deadline = time.monotonic() + _GONE_SECONDS
    while (after := _snapshot(host)) != before and time.monotonic() < deadline:
        time.sleep(0.2)
    for kind, seen in before.items():
        assert after[kind] == seen, kind


def _play_until_it_serves(host: Host, **environment: str) -> Callable[[int], int]:
    """Start the demonstration inside; return what sends it a signal and awaits its end."""
    settings = {"PYTHONPATH": CHECKOUT_INSIDE, **environment}
    demo = host.open([_PYTHON, "-m", "tests.lab.demo"], settings)
    assert demo.stdout is not None
    said = []
    for line in demo.stdout:
        said.append(line)
        if "Alertmanager " in line:
            break
    else:
        pytest.fail(f"it ended before it served:\n{''.join(said)}", pytrace=False)
    (process,) = psutil.Process(demo.pid).children()

    def end(number: int) -> int:
        process.send_signal(number)
        demo.communicate(timeout=30)
        return demo.returncode

    return end


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_demo_that_is_ended_leaves_the_machine_as_it_was(quiet: Host, number: int) -> None:
    before = _snapshot(quiet)
    end = _play_until_it_serves(quiet)
    assert _snapshot(quiet)["processes"] != before["processes"]
    end(number)
    _assert_as_before(quiet, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_demo_of_plain_processes_leaves_the_machine_as_it_was(quiet: Host, number: int) -> None:
    before = _snapshot(quiet)
    end = _play_until_it_serves(quiet, PLAIN="1")
    assert _snapshot(quiet)["listening"] != before["listening"]
    end(number)
    _assert_as_before(quiet, before)
    runs = quiet.run(["ls", f"{CHECKOUT_INSIDE}/.lab/runs"]).stdout
    assert runs == ""


def test_a_stopped_host_leaves_nothing(quiet: Host) -> None:
    before = _snapshot(quiet)
    script = "from tests.lab.host import Host\nwith Host('inner') as host: host.journal('dbus')"
    quiet.run([_PYTHON, "-c", script], environment={"PYTHONPATH": CHECKOUT_INSIDE})
    _assert_as_before(quiet, before)


def test_what_a_host_writes_never_reaches_the_machine() -> None:
    if reason := refusal():
        unavailable(f"no host can be booted: {reason}")
    places = ("/tmp", "/etc", "/var", "/var/tmp", "/run", "/usr/lib", "/dev")
    with Host("writer") as host:
        for place in places:
            host.write(f"{place}/badgateway-wrote-this", "here\n")
            assert host.read(f"{place}/badgateway-wrote-this") == "here\n"
        host.run(["systemd-tmpfiles", "--clean"], check=False)
        group = host.cgroup
        assert group.is_dir()
    assert not group.exists()
    for place in places:
        assert not Path(place, "badgateway-wrote-this").exists()
