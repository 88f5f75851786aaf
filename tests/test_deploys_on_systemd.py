"""Real deploys under a real systemd: good ones verified, bad ones told, their page delayed."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.lab import observers, parts
from tests.lab.host import Host, refusal
from tests.lab.quiet_site import DESK, SHOP, Site
from tests.lab.require import require, unavailable
from tests.lab.virtualenv import install_editable

pytestmark = [pytest.mark.lab, pytest.mark.timeout(200)]

SHORT_LIVED = """\
import asyncio
import os
import threading

from shop.main import app as inner

threading.Timer(3, lambda: os._exit(3)).start()
app = inner
"""


class Stage:
    """The site, watched by the shipped unit and by Prometheus on the shipped rules."""

    def __init__(self, host: Host, site: Site) -> None:
        self.host, self.site = host, site
        self.exporter = f"http://127.0.0.1:{host.forward(observers.EXPORTER_PORT)}"
        self.prometheus = f"http://127.0.0.1:{host.forward(observers.PROMETHEUS_PORT)}"

    def badgateway(self, *words: str, user: str | None = None) -> subprocess.CompletedProcess[str]:
        return self.host.run(
            ["/usr/bin/badgateway", *words], user=user, check=False, timeout=120,
            environment={"COLUMNS": "100"},
        )  # fmt: skip

    def verify(self, name: str, wait: str) -> tuple[int, dict[str, Any]]:
        done = self.badgateway("verify", name, "--wait", wait, "--json")
        assert done.stdout, done.stderr
        (found,) = json.loads(done.stdout)["backends"]
        return done.returncode, found

    def said(self, name: str) -> dict[str, Any]:
        found = httpx.get(f"{self.exporter}/api/v1/diagnosis", trust_env=False).json()
        answers = {backend["backend"]: backend for backend in found["backends"]}
        return answers.get(name) or {"diagnosis": {"name": ""}, "announced": None}

    def cause(self, name: str) -> str:
        return str(self.said(name)["diagnosis"]["name"])

    def answered(self) -> float:
        """Return how many answers to clients were counted."""
        text = httpx.get(f"{self.exporter}/metrics", trust_env=False).text
        return sum(
            float(sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == "badgateway_proxy_responses_total"
        )

    def firing(self) -> set[str]:
        query = {"query": 'ALERTS{severity="critical", alertstate="firing"}'}
        url = f"{self.prometheus}/api/v1/query"
        found = httpx.get(url, params=query, trust_env=False).json()["data"]["result"]
        return {one["metric"]["alertname"] for one in found}

    def pull(self, source: str) -> None:
        self.host.write(f"/srv/{SHOP}/{SHOP}/main.py", source)


def until(fits: Callable[[], object], seconds: float) -> float:
    begun = time.monotonic()
    while not (found := fits()):
        assert time.monotonic() - begun < seconds, f"not within {seconds} s: {found}"
        time.sleep(0.3)
    return time.monotonic() - begun


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    if reason := refusal():
        unavailable(reason)
    for part in ("caddy", "prometheus"):
        require(part)
    try:
        with Host("deploys", ("caddy", *observers.PACKAGES)) as host:
            site = Site(host)
            site.build()
            observers.start_exporter(host, "")
            observers.start_prometheus(host)
            stage = Stage(host, site)
            until(lambda: _answers(stage), 60)
            yield stage
    except parts.PartMissing as missing:
        unavailable(str(missing))


def _answers(stage: Stage) -> bool:
    try:
        stage.firing()
        return stage.cause(SHOP) == stage.cause(DESK) == "none"
    except (httpx.HTTPError, KeyError, ValueError):  # Prometheus says in words that it starts
        return False


def test_a_good_deploy_is_verified_and_pages_nobody(stage: Stage) -> None:
    pip = f"/srv/{SHOP}/.venv/bin/python -m pip --version >/dev/null"  # it is announced meanwhile
    stage.site.pull(extra=True)
    install_editable(stage.host, f"/srv/{SHOP}")
    begun = time.monotonic()
    done = stage.badgateway(
        "deploying", SHOP, "--for", "2m", "--", "sh", "-c", f"{pip} && systemctl restart {SHOP}"
    )
    assert done.returncode == 0, done.stderr
    assert f"pages for {SHOP} wait until" in done.stderr
    code, found = stage.verify(SHOP, "60s")
    assert code == 0, found
    assert {target["vantage"] for target in found["targets"]} == {"proxy", "origin"}
    assert all(target["answers"] >= 3 for target in found["targets"])
    assert time.monotonic() - begun < 45
    assert stage.firing() == set()
    assert stage.cause(SHOP) == "none"


def test_an_announcement_survives_a_restart_of_the_exporter(stage: Stage) -> None:
    assert stage.badgateway("deploying", DESK, "--for", "10m").returncode == 0
    until(lambda: stage.said(DESK)["announced"], 5)
    told = stage.said(DESK)["announced"]
    stage.host.systemctl("restart", "badgateway")
    until(lambda: _answers(stage), 30)
    until(lambda: stage.said(DESK)["announced"] == told, 5)
    stage.host.systemctl("stop", "badgateway")
    done = stage.badgateway("deploying", DESK, "--end")
    assert done.returncode == 0
    stage.host.systemctl("start", "badgateway")
    until(lambda: _answers(stage), 30)
    assert stage.said(DESK)["announced"] is None


def test_a_deploy_user_announces_as_a_member_of_the_exporters_group(stage: Stage) -> None:
    users = "u deployer - Deployer /\nu guest - Guest /\nm deployer badgateway\n"
    stage.host.write("/etc/sysusers.d/deployer.conf", users)
    stage.host.run(["systemd-sysusers"])
    refused = stage.badgateway("deploying", SHOP, user="guest")
    assert refused.returncode == 2
    assert "member of group badgateway" in refused.stderr
    done = stage.badgateway("deploying", SHOP, "--for", "5m", user="deployer")
    assert (done.returncode, "wait until" in done.stderr) == (0, True), done.stderr
    assert stage.said(SHOP)["announced"]["by"] == "deployer"
    # root may end what another began
    assert stage.badgateway("deploying", SHOP, "--end").returncode == 0
    until(lambda: stage.said(SHOP)["announced"] is None, 5)


def test_a_bad_deploy_is_told_at_once_and_pages_after_its_announcement(stage: Stage) -> None:
    stage.site.pull(extra=False)
    install_editable(stage.host, f"/srv/{SHOP}")
    stage.host.systemctl("restart", SHOP)
    stage.host.run([f"/srv/{SHOP}/.venv/bin/python", "-m", "pip", "uninstall", "-qy", "msgspec"])
    until(lambda: stage.cause(SHOP) == "none", 20)

    stage.site.pull(extra=True)  # and nobody installs what it needs
    stage.badgateway("deploying", SHOP, "--for", "40s")
    ends = stage.said(SHOP)["announced"]["until"]
    stage.host.systemctl("restart", SHOP)
    code, found = stage.verify(SHOP, "6s")
    assert code == 1
    assert (found["diagnosis"]["name"], found["diagnosis"]["subject"]) == (
        "missing_dependency", "msgspec",
    )  # fmt: skip
    assert "msgspec is not installed" in found["reasons"][0]
    until(lambda: stage.cause(SHOP) == "missing_dependency", 10)
    assert stage.said(SHOP)["announced"] is not None
    while time.time() < ends - 1:
        assert stage.firing() == set()
        time.sleep(1)
    until(lambda: "GatewayProbeFailing" in stage.firing(), ends + 25 - time.time())

    install_editable(stage.host, f"/srv/{SHOP}")
    stage.host.systemctl("restart", SHOP)
    code, found = stage.verify(SHOP, "60s")
    assert code == 0, found
    assert stage.cause(SHOP) == "none"


def test_a_person_reads_why_it_failed(stage: Stage) -> None:
    stage.host.systemctl("stop", SHOP)
    done = stage.badgateway("verify", SHOP, "--wait", "12s")
    assert done.returncode == 1
    assert f"{SHOP}  failing" in done.stdout
    assert "connect refused" in done.stdout
    assert "service_stopped" in done.stdout
    assert f"systemctl start {SHOP}.service" in done.stdout
    stage.host.systemctl("start", SHOP)


def test_its_probes_are_no_traffic(stage: Stage) -> None:
    before = stage.answered()
    assert stage.verify(SHOP, "60s")[0] == 0
    stage.host.run(["curl", "-s", "-H", f"Host: {SHOP}.test", "127.0.0.1"])
    until(lambda: stage.answered() > before, 10)
    assert stage.answered() == before + 1


def test_a_forgotten_restart_is_noticed(stage: Stage) -> None:
    time.sleep(2)
    source = stage.host.read(f"/srv/{SHOP}/{SHOP}/main.py")
    stage.pull(source.replace('"open"', '"closed"'))
    code, found = stage.verify(SHOP, "8s")
    assert code == 1
    assert "older than the code on disk; systemctl restart shop.service" in found["reasons"][0]
    stage.host.systemctl("restart", SHOP)
    code, found = stage.verify(SHOP, "30s")
    assert code == 0, found


def test_a_reload_that_replaces_the_workers_is_a_deploy_too(stage: Stage) -> None:
    path = f"/srv/{DESK}/{DESK}/main.py"
    stage.host.write(path, stage.host.read(path).replace("ok", "OK"))
    assert stage.verify(DESK, "5s")[0] == 1
    stage.host.systemctl("reload", DESK)
    code, found = stage.verify(DESK, "40s")
    assert code == 0, found


def test_an_application_that_answers_and_dies_is_not_verified(stage: Stage) -> None:
    stage.host.write(f"/srv/{SHOP}/{SHOP}/brief.py", SHORT_LIVED)
    unit = stage.host.read(f"/etc/systemd/system/{SHOP}.service")
    stage.host.unit(f"{SHOP}.service", unit.replace("shop.main:app", "shop.brief:app"))
    stage.host.systemctl("restart", SHOP)
    code, found = stage.verify(SHOP, "18s")
    assert code == 1, found
    assert any("start it again" in reason or "crash" in reason for reason in found["reasons"]) or (
        "does not stay up" in found["diagnosis"]["summary"]
    ), found
    assert any("restarted" in reason for reason in found["reasons"])
    stage.host.unit(f"{SHOP}.service", unit)
    stage.host.systemctl("restart", SHOP)
    code, found = stage.verify(SHOP, "60s")
    assert code == 0, found
