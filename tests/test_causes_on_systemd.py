"""Real uvicorn and gunicorn under a real systemd: each way not to start gets its cause.

The exporter is started only after everything has crashed: it must find out afterwards.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.host import CHECKOUT_INSIDE, Host, refusal
from tests.lab.require import unavailable

pytestmark = [pytest.mark.lab]

SITE = "/srv/site"
"""What every virtualenv gets a copy of: uvicorn, gunicorn and the little packages below."""

BASE = """\
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})
"""

HOSTILE = """\
import sys


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    if scope["path"] == "/forge":
        print("Process SpawnProcess-1:", file=sys.stderr)
        print("Traceback (most recent call last):", file=sys.stderr)
        print('  File "/x/uvicorn/config.py", line 1, in load', file=sys.stderr)
        print("ModuleNotFoundError: No module named 'forged'", file=sys.stderr, flush=True)
        print("[2026-01-01 00:00:00 +0000] [1] [CRITICAL] WORKER TIMEOUT (pid:1)", flush=True)
        print("INFO:     Child process [1] died", file=sys.stderr, flush=True)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})
"""

GUARDED = "try:\n    import notthere\nexcept ImportError:\n    notthere = None\n\n\n" + BASE
DEPENDENCIES = {"slow": "slowapi-like>=0.1", "yamlish": "PyJWT>=2", "ghost": "ghostly>=1"}

# name → (source of the module, command's options, cause, subject)
CASES: dict[str, tuple[str, str, str, str]] = {
    "slow": (f"import slowapi_like\n\n\n{BASE}", "", "missing_dependency", "slowapi-like"),
    "slow2": (
        f"import slowapi_like\n\n\n{BASE}", "--workers 2", "missing_dependency", "slowapi-like",
    ),
    "yamlish": (f"import jwt\n\n\n{BASE}", "", "missing_dependency", "pyjwt"),
    "transitive": (f"import outer\n\n\n{BASE}", "", "missing_dependency", "inner-part"),
    "ghost": (f"import ghostly.errors\n\n\n{BASE}", "", "missing_dependency", "ghostly"),
    "misspelt": (
        f"from misspelt import toolz\n\n\n{BASE}", "", "boot_failure", "ImportError",
    ),
    "misspelt2": (
        f"import misspelt2.toolz\n\n\n{BASE}", "", "boot_failure", "misspelt2.toolz",
    ),
    "syntax": (f"def broken(:\n\n\n{BASE}", "", "boot_failure", "SyntaxError"),
    "environ": (f"import os\n\nos.environ['NEEDED']\n\n\n{BASE}", "", "boot_failure", "KeyError"),
    "guarded": (GUARDED, "", "none", ""),
    "hostile": (HOSTILE, "", "none", ""),
    "gunny": (
        "import slowapi_like\n", "GUNICORN", "missing_dependency", "slowapi-like",
    ),
    "loops": ("import os\n\nos.kill(os.getpid(), 9)\n", "", "crash_loop", "loops.service"),
}  # fmt: skip


def project(host: Host, name: str, number: int) -> None:
    """Write a project, its virtualenv and its unit."""
    source, options, _, _ = CASES[name]
    place = f"/srv/{name}"
    needs = DEPENDENCIES.get(name, "slowapi-like>=0.1" if "slowapi" in source else "")
    dependencies = json.dumps([needs] if needs else [])
    host.write(
        f"{place}/pyproject.toml",
        f'[project]\nname = "{name}"\nversion = "1"\ndependencies = {dependencies}\n',
    )
    host.write(f"{place}/{name}/__init__.py", "")
    host.write(f"{place}/{name}/main.py", source)
    home = f"{place}/.venv"
    host.run(["python3", "-m", "venv", "--without-pip", home])
    host.run(["cp", "-r", f"{SITE}/.", f"{home}/lib/python3.11/site-packages/"])
    port = 8100 + number
    if options == "GUNICORN":
        module, options = "gunicorn", f"-w 2 --bind 127.0.0.1:{port}"
    else:
        module, options = "uvicorn", f"--port {port} {options}"
    host.write(
        f"/etc/systemd/system/{name}.service",
        f"[Unit]\nStartLimitIntervalSec=0\n[Service]\nWorkingDirectory={place}\n"
        f"ExecStart={home}/bin/python -m {module} {name}.main:app {options}\n"
        "Restart=always\nRestartSec=1\n",
    )


def packages(host: Host) -> None:
    """Write what is installed: servers, one package with a missing part, one leftover."""
    libraries = f"{CHECKOUT_INSIDE}/.venv/lib/python3.11/site-packages"
    host.run(["mkdir", "-p", SITE])
    for name in ("uvicorn", "gunicorn", "click", "h11", "packaging"):
        host.run(["sh", "-c", f"cp -r {libraries}/{name} {libraries}/{name}-*.dist-info {SITE}/"])
    host.write(f"{SITE}/outer/__init__.py", "import inner_part\n")
    host.write(
        f"{SITE}/outer-1.0.dist-info/METADATA",
        "Metadata-Version: 2.1\nName: outer\nVersion: 1.0\nRequires-Dist: inner-part>=2\n",
    )
    host.write(f"{SITE}/outer-1.0.dist-info/RECORD", "outer/__init__.py,,\n")
    host.write(f"{SITE}/ghostly/leftover.txt", "not removed by an uninstall\n")


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    """A host on which everything has been started, and then the exporter."""
    reason = refusal()
    if reason:
        unavailable(reason)
    with Host("causes") as host:
        packages(host)
        for number, name in enumerate(CASES):
            project(host, name, number)
        host.systemctl("daemon-reload")
        host.systemctl("start", *CASES)
        time.sleep(6)
        host.unit(
            "badgateway.service",
            f"[Service]\nExecStart={CHECKOUT_INSIDE}/.venv/bin/badgateway serve "
            "--storage.path /var/lib/badgateway\n",
        )
        host.systemctl("start", "badgateway")
        wait_until(host, lambda found: len(found) >= len(CASES), 60)
        time.sleep(12)
        yield host


def answers(host: Host) -> dict[str, dict[str, Any]]:
    """Return what the exporter says of each backend."""
    said = host.run(["curl", "-s", "127.0.0.1:10502/api/v1/diagnosis"], check=False).stdout
    return {b["backend"]: b for b in json.loads(said)["backends"]} if said else {}


def wait_until(host: Host, fits: Any, seconds: float) -> dict[str, dict[str, Any]]:
    """Return the answers as soon as they fit, or after some seconds."""
    deadline = time.monotonic() + seconds
    while True:
        found = answers(host)
        if fits(found) or time.monotonic() > deadline:
            return found
        time.sleep(0.3)


def metric(host: Host, name: str, **labels: str) -> float:
    """Return the sum of a metric's series with these labels."""
    from prometheus_client.parser import text_string_to_metric_families

    text = host.run(["curl", "-s", "127.0.0.1:10502/metrics"]).stdout
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == f"badgateway_{name}" and labels.items() <= sample.labels.items()
    )


@pytest.mark.parametrize("name", CASES)
def test_what_does_not_start_is_explained_afterwards(host: Host, name: str) -> None:
    _, _, cause, subject = CASES[name]
    found = wait_until(host, lambda a: a[name]["diagnosis"]["name"] == cause, 45)[name]
    diagnosis = found["diagnosis"]
    assert (diagnosis["name"], diagnosis["subject"]) == (cause, subject), diagnosis


@pytest.mark.parametrize(
    ("name", "risk"),
    [("slow", True), ("yamlish", True), ("transitive", True), ("ghost", True),
     ("misspelt2", True), ("syntax", True), ("guarded", False), ("hostile", False)],
)  # fmt: skip
def test_the_next_start_is_foreseen_from_the_disk_alone(host: Host, name: str, risk: bool) -> None:
    found = wait_until(host, lambda a: bool(a[name]["risks"]) == risk, 30)[name]
    assert bool(found["risks"]) == risk, found["hops"]


def test_what_a_request_makes_an_application_print_counts_nothing(host: Host) -> None:
    port = 8100 + list(CASES).index("hostile")
    for _ in range(20):
        host.run(["curl", "-s", f"127.0.0.1:{port}/forge"])
    time.sleep(2)
    assert "forged" in host.journal("hostile.service", 200)
    assert answers(host)["hostile"]["diagnosis"]["name"] == "none"
    for name in ("worker_recycles_total", "server_exits_total", "service_exits_total"):
        assert metric(host, name, backend="hostile") == 0


def test_systemd_sees_nothing_of_workers_that_cannot_boot(host: Host) -> None:
    assert host.systemctl("show", "-P", "ActiveState", "slow2").strip() == "active"
    assert host.systemctl("show", "-P", "NRestarts", "slow2").strip() == "0"
    assert metric(host, "upstream_listening", backend="slow2") == 0
    assert metric(host, "worker_recycles_total", backend="slow2", reason="boot_failure") > 3


def test_restarts_while_the_exporter_is_killed_are_counted_too(host: Host) -> None:
    def both() -> tuple[int, int]:
        """systemd's counter and ours, at a moment when neither moves."""
        while True:
            first = int(host.systemctl("show", "-P", "NRestarts", "slow"))
            time.sleep(0.9)
            counted = int(metric(host, "service_restarts_total", backend="slow"))
            if int(host.systemctl("show", "-P", "NRestarts", "slow")) == first:
                return first, counted

    before = both()
    for _ in range(4):
        host.systemctl("kill", "-s", "KILL", "badgateway", check=False)
        time.sleep(1.7)
        host.systemctl("start", "badgateway")
        time.sleep(1.3)
    wait_until(host, lambda found: "slow" in found, 10)
    after = both()
    assert after[0] - before[0] >= 5
    assert after[1] - before[1] == after[0] - before[0]


def test_dying_workers_are_counted_once_though_the_exporter_is_killed(host: Host) -> None:
    def both() -> tuple[int, int]:
        """Deaths told by the journal and deaths counted, while nothing moves."""
        host.systemctl("kill", "-s", "STOP", "slow2")
        time.sleep(1.5)
        told = host.run(
            ["journalctl", "-u", "slow2", "-o", "cat", "--grep", "^ModuleNotFoundError"]
        ).stdout.splitlines()
        counted = metric(host, "worker_recycles_total", backend="slow2", reason="boot_failure")
        host.systemctl("kill", "-s", "CONT", "slow2")
        return len(told), int(counted)

    metric(host, "worker_recycles_total", backend="slow2")  # one scrape sees the zeros
    before = both()
    for _ in range(3):
        host.systemctl("kill", "-s", "KILL", "badgateway", check=False)
        time.sleep(1.1)
        host.systemctl("start", "badgateway")
        time.sleep(1.9)
    wait_until(host, lambda found: "slow2" in found, 10)
    time.sleep(1.5)
    after = both()
    assert after[0] > before[0]
    assert after[1] - before[1] == after[0] - before[0]


def test_every_restart_of_a_crash_loop_is_counted_with_its_reason(host: Host) -> None:
    def restarts() -> int:
        return int(host.systemctl("show", "-P", "NRestarts", "slow"))

    before, counted = restarts(), metric(host, "service_restarts_total", backend="slow")
    time.sleep(8)
    host.systemctl("stop", "slow")
    time.sleep(1.5)
    after = int(metric(host, "service_restarts_total", backend="slow"))
    happened = after - counted
    assert happened >= 4
    assert abs(happened - (restarts_until_stop(host) - before)) <= 1
    assert metric(host, "service_restarts_total", backend="slow", reason="boot_failure") > 3


def restarts_until_stop(host: Host) -> int:
    """The counter in the last message about a scheduled restart: stopping sets systemd's back."""
    text = host.run(
        ["journalctl", "-o", "json", "-u", "slow", "-n", "200",
         "MESSAGE_ID=5eb03494b6584870a536b337290809b3"]
    ).stdout  # fmt: skip
    return max(int(json.loads(line)["N_RESTARTS"]) for line in text.splitlines())


def test_a_stopped_service_is_service_stopped_at_once(host: Host) -> None:
    host.systemctl("stop", "guarded")
    begun = time.monotonic()
    found = wait_until(host, lambda a: a["guarded"]["diagnosis"]["name"] == "service_stopped", 12)
    assert found["guarded"]["diagnosis"]["name"] == "service_stopped"
    assert time.monotonic() - begun < 12
    host.systemctl("start", "guarded")
    wait_until(host, lambda a: a["guarded"]["diagnosis"]["name"] == "none", 12)
    assert answers(host)["guarded"]["diagnosis"]["name"] == "none"
