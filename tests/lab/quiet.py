"""Nothing is wrong: a healthy site lives its life, and the exporter must have nothing to say.

``make quiet`` runs it for ten minutes, ``make quiet SECONDS=90`` for less. Real Caddy, uvicorn and
gunicorn under a real systemd, watched by the shipped unit and by real Prometheus on the shipped
rules, while the services are restarted, deployed, reloaded and recycled, and clients do what
clients do. Its last line is a JSON object; it exits 0 only if each of these things really happened
and no alert fired, no risk was seen, and no cause but ``none`` and ``deploying`` was concluded.
"""

from __future__ import annotations

import collections
import contextlib
import json
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import httpx

from tests.lab import observers, parts
from tests.lab.host import Host
from tests.lab.load import Load
from tests.lab.machine import Refused
from tests.lab.quiet_site import DESK, SHOP, Site
from tests.lab.watching import Watching

PACKAGES: Final = ("caddy", *observers.PACKAGES)
_CALM_SECONDS: Final = 15.0
"""At the end nothing is done any more: what was done last may still have consequences."""
_LEAST_SECONDS: Final = 60.0
_PAUSE_SECONDS: Final = (2.5, 6.0)
"""Between two things that are done: in the first minute and a half, and after that."""

_CONFIGURATION: Final = """\
backends:
  - name: shop
    probes: [{name: edge, vantage: edge, url: "http://127.0.0.1:80/", headers: {Host: shop.test}}]
"""


@dataclass
class Outcome:
    """What was done, what came of it, and what should not have."""

    seconds: float = 0.0
    done: collections.Counter[str] = field(default_factory=collections.Counter)
    """What was provoked, by us → how often."""
    seen: dict[str, float] = field(default_factory=dict)
    """What the exporter counted of it."""
    answers: dict[str, int] = field(default_factory=dict)
    diagnoses: dict[str, int] = field(default_factory=dict)
    risks: dict[str, int] = field(default_factory=dict)
    alerts: dict[str, int] = field(default_factory=dict)
    scrapes: int = 0
    moments: list[tuple[float, str]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    """Why it was not quiet, or proves nothing."""

    def summary(self) -> str:
        """Return it as one line of JSON."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return json.dumps(values)


def play(host: Host, seconds: float, say: Callable[[str], None]) -> Outcome:
    """Let a healthy site live for so long; return what came of it."""
    site = Site(host, loading=2.0)
    say("building the site and starting the watchers …")
    site.build()
    observers.start_exporter(host, _CONFIGURATION)
    observers.start_prometheus(host)
    load = Load(host.forward(80), (f"{SHOP}.test", f"{DESK}.test"), 5.0)
    watching = Watching(
        f"http://127.0.0.1:{host.forward(observers.EXPORTER_PORT)}",
        f"http://127.0.0.1:{host.forward(observers.PROMETHEUS_PORT)}",
    )
    _await_calm(host, watching)
    load.start()
    watching.start()
    before = _counted(watching)
    begun = time.monotonic()
    try:
        _live(site, load, begun + max(seconds, _LEAST_SECONDS) - _CALM_SECONDS, say)
        time.sleep(max(0.0, begun + max(seconds, _LEAST_SECONDS) - time.monotonic()))
        # read before the clients end: what they did last must have arrived
        after = _counted(watching)
        alerts, works = watching.alerts(), watching.watchdog()
    finally:
        load.stop()
        watching.stop()
    site.done["aborts"] = load.aborted
    outcome = Outcome(
        round(time.monotonic() - begun, 1), site.done,
        {name: after[name] - before[name] for name in after}, dict(load.answers),
        dict(watching.diagnoses), dict(watching.risks), alerts, watching.scrapes,
        watching.moments[:40],
    )  # fmt: skip
    outcome.seen["proxy_reloads"] = _proxy_loads(host) - 1
    outcome.faults = [*_noise(outcome, watching), *_unproven(outcome, works)]
    return outcome


def _live(site: Site, load: Load, end: float, say: Callable[[str], None]) -> None:
    """Do one thing after the other, round after round."""
    shop = f"{SHOP}.test"
    broken = ["/500"] * 10
    acts: list[tuple[str, Callable[[], object]]] = [
        ("a proper deploy", site.deploy),
        ("a storm of 404", lambda: load.burst(shop, [f"/wp-{n}.php" for n in range(60)])),
        ("a reload of the proxy", site.reload_proxy),
        ("errors of the application", lambda: load.burst(shop, broken)),
        ("clients that give up", lambda: load.abandon(shop, "/slow", 8)),
        ("a restart of the services", site.restart),
        ("a rotation of the log", site.rotate),
        ("a reload of gunicorn", site.reload_workers),
        ("errors of the other application", lambda: load.burst(f"{DESK}.test", broken)),
        ("a stop, and a start shortly after", site.stop_and_start),
    ]
    begun = time.monotonic()
    while True:
        for what, act in acts:
            say(what)
            act()
            brisk = time.monotonic() - begun < 90
            time.sleep(_PAUSE_SECONDS[0] if brisk else _PAUSE_SECONDS[1])
            if time.monotonic() > end:
                return


def _await_calm(host: Host, watching: Watching, seconds: float = 90) -> None:
    """Wait until both backends are known to be well, and Prometheus sees the exporter."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.HTTPError):
            well = watching.total("diagnosis", cause="none") == 2
            if well and watching.total("next_start", verdict="ok") == 2 and watching.scraped():
                return
        time.sleep(0.5)
    raise AssertionError(f"not well from the start:\n{host.tail('badgateway', 40)}")


def _counted(watching: Watching) -> dict[str, float]:
    total = watching.total
    return {
        "answered_404": total("proxy_responses_total", code="404"),
        "answered_500": total("proxy_responses_total", code="500"),
        "answered_502": total("proxy_responses_total", code="502"),
        "client_aborts": total("client_aborts_total"),
        "ordered_restarts": total("service_restarts_total", reason="manual"),
        "other_restarts": total("service_restarts_total")
        - total("service_restarts_total", reason="manual"),
        "recycled_workers": total("worker_recycles_total", reason="max_requests"),
        "gaps": total("source_gaps_total"),
    }


def _proxy_loads(host: Host) -> int:
    words = host.run(["journalctl", "--no-pager", "-o", "cat", "-u", "caddy"]).stdout
    return len(re.findall(r'"(?:msg)":"autosaved config', words))


def _noise(outcome: Outcome, watching: Watching) -> list[str]:
    """Return what was said although nothing was wrong."""
    said = [
        f"diagnosis: {what} ({count} scrapes)"
        for what, count in outcome.diagnoses.items()
        if what.split()[1] not in ("none", "deploying")
    ]
    said += [f"risk: {what} ({count} scrapes)" for what, count in outcome.risks.items()]
    said += [
        f"alert: {what} ({count} evaluations)"
        for what, count in outcome.alerts.items()
        if " firing " in what or what.endswith(" critical")
    ]
    said += [f"source: {name} down ({count} scrapes)" for name, count in watching.down.items()]
    if watching.missed:
        said.append(f"{watching.missed} scrapes were not answered")
    return said


def _unproven(outcome: Outcome, works: int) -> list[str]:
    """Return what should have happened and did not: the silence would prove nothing."""
    done, seen = outcome.done, outcome.seen
    least = {
        "404s": (seen["answered_404"], 30),
        "500s": (seen["answered_500"], 5),
        "client aborts": (seen["client_aborts"], 3),
        "ordered restarts": (seen["ordered_restarts"], done["restarts"] + done["deploys"]),
        "recycled workers": (seen["recycled_workers"], 1),
        "proxy reloads": (seen["proxy_reloads"], done["proxy_reloads"]),
        "deploys": (done["deploys"], 1),
        "restarts": (done["restarts"], 2),
        "stops and starts": (done["stops_and_starts"], 1),
        "server reloads": (done["server_reloads"], 1),
        "rotations": (done["rotations"], 1),
        "answers": (outcome.answers.get("200", 0), 2 * outcome.seconds),
        "scrapes": (outcome.scrapes, 0.6 * outcome.seconds),
        "evaluations of the rules": (works, outcome.seconds / 20),
    }
    return [
        f"only {value:g} {what}, at least {wanted:g} were to be seen"
        for what, (value, wanted) in least.items()
        if value < wanted
    ]


def main() -> int:
    """Run it for the seconds given (default 600); return the exit status."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 600.0
    try:
        with Host("quiet", PACKAGES) as host:
            outcome = play(host, seconds, parts.say)
    except (Refused, parts.PartMissing) as reason:
        print(f"cannot be run here: {reason}", file=sys.stderr)
        return 2
    for fault in outcome.faults:
        parts.say(f"not quiet: {fault}")
    print(outcome.summary())
    return 1 if outcome.faults else 0


if __name__ == "__main__":
    sys.exit(main())
