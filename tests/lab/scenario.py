"""The form of a scenario: how a site is built, then steps, each with what must be seen where.

A file of ``tests/lab/scenarios/`` holds one scenario as ``SCENARIO``.
"""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.lab import observers, scenarios
from tests.lab.machine import Machine
from tests.lab.pager import Notification, Pager
from tests.lab.routing import wait_of


class Stage:
    """A machine with the scenario's site on it, and the places where things can be seen."""

    def __init__(self, machine: Machine, backend: str, site_port: int, pager: Pager) -> None:
        """``site_port``: the proxy's, as the scenario numbers it."""
        self.machine = machine
        self.backend = backend
        self.pager = pager
        self.site = f"http://127.0.0.1:{machine.forward(site_port)}/"
        self.exporter = f"http://127.0.0.1:{machine.forward(observers.EXPORTER_PORT)}"
        self.prometheus = f"http://127.0.0.1:{machine.forward(observers.PROMETHEUS_PORT)}"
        self.alertmanager = f"http://127.0.0.1:{machine.forward(observers.ALERTMANAGER_PORT)}"
        self.step_started = 0.0
        """When the running step began (time.monotonic)."""
        self.note = ""
        """What was seen last where it was not what was wanted."""
        self._client = httpx.Client(timeout=5.0, trust_env=False)

    def get(self, url: str) -> httpx.Response | None:
        """Return the answer, or None when there was none."""
        try:
            return self._client.get(url)
        except httpx.HTTPError:
            return None

    def sample(self, metric: str, labels: dict[str, str]) -> float | None:
        """Return the value of the first series of the exporter that has these labels."""
        answer = self.get(f"{self.exporter}/metrics")
        if answer is None or answer.status_code != 200:
            return None
        for family in text_string_to_metric_families(answer.text):
            for sample in family.samples:
                if sample.name == metric and labels.items() <= sample.labels.items():
                    return float(sample.value)
        return None

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``badgateway`` with ``arguments`` on the machine."""
        argv = [*observers.badgateway(self.machine), *arguments]
        return self.machine.run(argv, check=False, environment={"COLUMNS": "100"})

    def close(self) -> None:
        """Close what it holds open."""
        self._client.close()


@dataclass(frozen=True)
class Sight:
    """Something that must be seen."""

    place: str
    """Where: shown to the person watching."""
    wanted: str
    """What, in words."""
    look: Callable[[Stage], str | None]
    """Returns what it saw, in words, or None while it is not to be seen."""
    moment: str = ""
    """The name under which the seconds from the step's beginning are reported."""


@dataclass(frozen=True)
class Step:
    """One thing that is done, and what must be seen because of it."""

    title: str
    sights: Sequence[Sight]
    limit: float
    """Seconds within which everything must have been seen."""
    action: Callable[[Stage], None] | None = None


@dataclass(frozen=True)
class Scenario:
    """A site, what befalls it, and what must be seen."""

    name: str
    title: str
    backend: str
    site_port: int
    """The proxy's port."""
    packages: Sequence[str]
    """Debian packages the site is made of."""
    build: Callable[[Machine], None]
    """Builds the site and starts its services."""
    configuration: Callable[[Machine], str]
    """The exporter's configuration file."""
    steps: Sequence[Step]
    services: Sequence[str]
    """The services whose logs are shown when a step is not seen."""
    needs_host: str = ""
    """Why plain processes cannot play it; empty when they can."""
    files: Callable[[Machine], None] | None = None
    """Writes what the exporter's unit needs beside what is shipped, before it starts."""
    hidden_without_systemd: Sequence[str] = field(default_factory=tuple)
    """What a machine of plain processes cannot show of it."""


def load(name: str) -> Scenario:
    """Return the scenario called ``name``; raises KeyError naming those there are."""
    modules = [module.name for module in pkgutil.iter_modules(scenarios.__path__)]
    module = name.replace("-", "_")
    if module not in modules:
        there = ", ".join(sorted(found.replace("_", "-") for found in modules))
        raise KeyError(f"no scenario {name!r}; there are: {there}")
    scenario = importlib.import_module(f"{scenarios.__name__}.{module}").SCENARIO
    assert isinstance(scenario, Scenario)
    return scenario


def site_answers(status: int, moment: str = "") -> Sight:
    """The site answers a client with ``status``."""

    def look(stage: Stage) -> str | None:
        answer = stage.get(stage.site)
        return f"{status}" if answer is not None and answer.status_code == status else None

    return Sight("site, through the proxy", f"{status}", look, moment)


def metric_is(metric: str, value: float, moment: str = "", **labels: str) -> Sight:
    """The exporter exposes ``metric`` with ``labels`` of this backend at ``value``."""
    shown = ",".join(f'{key}="{label}"' for key, label in labels.items())

    def look(stage: Stage) -> str | None:
        seen = stage.sample(metric, {"backend": stage.backend, **labels})
        return f"{metric}{{{shown}}} {seen:g}" if seen == value else None

    return Sight("metric", f"{metric}{{{shown}}} {value:g}", look, moment)


def counted(metric: str, at_least: float, moment: str = "", **labels: str) -> Sight:
    """The exporter has counted at least so much on a series of this backend."""
    shown = ",".join(f'{key}="{label}"' for key, label in labels.items())

    def look(stage: Stage) -> str | None:
        seen = stage.sample(metric, {"backend": stage.backend, **labels})
        return f"{metric}{{{shown}}} {seen:g}" if seen is not None and seen >= at_least else None

    return Sight("metric", f"{metric}{{{shown}}} {at_least:g} or more", look, moment)


def nobody_notified(status: str = "firing", *words: str) -> Sight:
    """Alertmanager has told the pager nothing of this backend, with all ``words``, in this step."""

    def look(stage: Stage) -> str | None:
        told = [
            notification
            for notification in stage.pager.received
            if notification.receiver == "pager"
            and notification.status == status
            and notification.at >= stage.step_started
            and notification.about(stage.backend)
            and all(word in notification.text() for word in words)
        ]
        stage.note = told[0].text() if told else ""
        return None if told else "nothing"

    return Sight("notification to pager", "none", look)


def front_page_says(*words: str) -> Sight:
    """The exporter's page for people holds all ``words``."""

    def look(stage: Stage) -> str | None:
        answer = stage.get(f"{stage.exporter}/")
        if answer is None or any(word not in answer.text for word in words):
            return None
        return f"says {', '.join(words)}"

    return Sight("page of the exporter", f"says {', '.join(words)}", look)


def check_says(*words: str) -> Sight:
    """``badgateway check BACKEND`` finds fault and names it."""
    return _command_says("check", "--config.file", words)


def diagnose_says(*words: str) -> Sight:
    """``badgateway diagnose BACKEND`` finds it failing and says why."""
    return _command_says("diagnose", "--url", words)


def _command_says(command: str, option: str, words: Sequence[str]) -> Sight:
    def look(stage: Stage) -> str | None:
        # Where all is discovered and at its usual place, people need no option.
        values = {"--config.file": stage.machine.place(observers.CONFIG), "--url": stage.exporter}
        options = [] if stage.machine.systemd else [option, values[option]]
        done = stage.command(command, *options, stage.backend)
        stage.note = f"exit {done.returncode}\n{done.stdout}{done.stderr}"
        if done.returncode != 1 or any(word not in done.stdout for word in words):
            return None
        return stage.note.rstrip()

    return Sight(f"badgateway {command}", f"exit 1, saying {', '.join(words)}", look)


def command_ends(status: int, *arguments: str, saying: Sequence[str] = ()) -> Sight:
    """``badgateway`` with these arguments ends with ``status`` and says all of ``saying``."""

    def look(stage: Stage) -> str | None:
        done = stage.command(*arguments)
        stage.note = f"exit {done.returncode}\n{done.stdout}{done.stderr}"
        if done.returncode != status or any(word not in done.stdout for word in saying):
            return None
        return stage.note.rstrip()

    words = f", saying {', '.join(saying)}" if saying else ""
    return Sight(f"badgateway {' '.join(arguments)}", f"exit {status}{words}", look)


def warning_waits() -> Sight:
    """Prometheus has a warning about this backend, and its notification waits for its time."""

    def look(stage: Stage) -> str | None:
        answer = stage.get(f"{stage.prometheus}/api/v1/rules?type=alert")
        if answer is None:
            return None
        for rule in (rule for group in answer.json()["data"]["groups"] for rule in group["rules"]):
            for alert in rule["alerts"]:
                labels = alert["labels"]
                if (
                    labels.get("category") == "early-warning"
                    and labels.get("backend") == stage.backend
                ):
                    wait = wait_of(labels)
                    minutes = (rule["duration"] + wait.seconds) / 60
                    return (
                        f"{rule['name']} {alert['state']}\n"
                        f"It must hold for {rule['duration']:.0f} s, then waits {wait.group} for "
                        f"others of its group: {wait.receiver} are told after {minutes:.1f} min."
                    )
        return None

    return Sight("Prometheus", "a warning about the backend", look)


def notified(receiver: str, status: str, *words: str, moment: str = "") -> Sight:
    """Alertmanager has told ``receiver`` of this backend since the step began."""

    def fits(stage: Stage, notification: Notification) -> bool:
        return (
            notification.receiver == receiver
            and notification.status == status
            and notification.at >= stage.step_started
            and notification.about(stage.backend)
            and all(word in notification.text() for word in words)
        )

    def look(stage: Stage) -> str | None:
        for notification in stage.pager.received:
            if fits(stage, notification):
                return status
        return None

    wanted = f"{status}, saying {', '.join(words)}"
    return Sight(f"notification to {receiver}", wanted, look, moment)
