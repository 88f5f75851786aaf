"""The demonstration: a real site is broken, and the page arrives that says why.

``make demo`` runs it. SCENARIO names the scenario; with ONCE=1 it ends by itself, exits 0 only if
every step was seen, and its last line is a JSON object. PLAIN=1 plays it without systemd.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from types import FrameType
from typing import Final

from tests.lab import observers, parts
from tests.lab.host import Host
from tests.lab.machine import Machine, Refused
from tests.lab.pager import SHIPPED_PORT, Notification, Pager
from tests.lab.plain import PlainHost
from tests.lab.scenario import Scenario, Stage, Step, load
from tests.lab.terminal import Terminal
from tests.lab.traffic import Traffic
from tests.lab.usage import Usage, usage

_PAUSE_SECONDS: Final = 0.25
_ENDS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class NotSeen(Exception):  # noqa: N818 - says what happened
    """A step whose sights were not all seen in time."""


def main() -> int:
    """Play the scenario; return the exit status."""
    try:
        scenario = load(os.environ.get("SCENARIO") or "missing-dependency")
    except KeyError as error:
        print(error.args[0], file=sys.stderr)
        return 2
    for number in _ENDS:
        signal.signal(number, _interrupt)
    terminal = Terminal()
    terminal.title(f"badgateway demo: {scenario.title}")
    try:
        with contextlib.ExitStack() as stack:
            machine = _machine(scenario, terminal)
            stack.callback(machine.stop)
            return _play(scenario, machine, terminal, stack)
    except KeyboardInterrupt:
        terminal.title("interrupted; everything is gone")
        return 130
    except parts.PartMissing as missing:
        terminal.failed(str(missing))
        return 2


def _interrupt(number: int, frame: FrameType | None) -> None:
    for other in _ENDS:  # once is enough: what follows is the cleaning up
        signal.signal(other, signal.SIG_IGN)
    raise KeyboardInterrupt


def _machine(scenario: Scenario, terminal: Terminal) -> Machine:
    packages = (*scenario.packages, *observers.PACKAGES)
    if not os.environ.get("PLAIN"):
        try:
            host = Host("lab", packages)
            host.boot()
        except Refused as refused:
            terminal.say(f"No systemd can be booted here: {refused}.")
        else:
            version = host.run(["systemctl", "--version"]).stdout.split("\n")[0]
            terminal.say(f"Booted {version}, in private namespaces; its files are in memory.")
            return host
    if scenario.needs_host:
        raise parts.PartMissing(scenario.needs_host)
    terminal.say("Plain processes in restart loops play the story instead. This does not show:")
    for hidden in scenario.hidden_without_systemd:
        terminal.say(f"  - {hidden}")
    for package in packages:
        parts.unpacked(package)
    return PlainHost()


def _play(
    scenario: Scenario, machine: Machine, terminal: Terminal, stack: contextlib.ExitStack
) -> int:
    pager = Pager(
        machine.network.listen(machine.port(SHIPPED_PORT)),
        lambda notification: _show(notification, terminal),
    )
    stack.callback(pager.close)
    terminal.title("Building the site and starting the watchers")
    began = time.monotonic()
    stage: Stage | None = None
    try:
        scenario.build(machine)
        if scenario.files is not None:
            scenario.files(machine)
        observers.start_exporter(machine, scenario.configuration(machine))
        observers.start_prometheus(machine)
        stage = Stage(machine, scenario.backend, scenario.site_port, pager)
        stack.callback(stage.close)
        terminal.say(f"{time.monotonic() - began:.1f} s.\n{_addresses(stage)}")
        traffic = Traffic(machine.forward(scenario.site_port))
        traffic.start()
        stack.callback(traffic.stop)
        moments: dict[str, float] = {}
        first: Usage | None = None
        for step in scenario.steps:
            moments.update(_step(step, stage, terminal))
            first = first or usage(machine, "badgateway")
    except NotSeen as failure:
        terminal.failed(str(failure))
    except subprocess.CalledProcessError as failure:
        terminal.failed(f"{failure}\n{failure.stdout}{failure.stderr}")
    else:
        last = usage(machine, "badgateway")
        share = last.share_since(first or last)
        _summary(traffic, last, share, terminal)
        if not os.environ.get("ONCE"):
            with contextlib.suppress(KeyboardInterrupt):
                _serve(stage, terminal)
        print(json.dumps(_result(scenario, machine, moments, last, share)))
        return 0
    for name in scenario.services:
        terminal.title(f"The last lines of {name}")
        terminal.say(machine.tail(name))
    if stage is not None and not os.environ.get("ONCE") and sys.stdout.isatty():
        _serve(stage, terminal)
    return 1


def _step(step: Step, stage: Stage, terminal: Terminal) -> dict[str, float]:
    """Play one step; return its named moments in seconds. Raises NotSeen."""
    terminal.title(step.title)
    stage.step_started = time.monotonic()
    if step.action is not None:
        step.action(stage)
    moments = {}
    for sight in step.sights:
        stage.note = ""
        while (what := sight.look(stage)) is None:
            if time.monotonic() - stage.step_started > step.limit:
                missed = f"not seen within {step.limit:.0f} s: {sight.place}: {sight.wanted}"
                raise NotSeen(f"{missed}\n{stage.note}".rstrip())
            time.sleep(_PAUSE_SECONDS)
        seconds = time.monotonic() - stage.step_started
        terminal.seen(sight.place, what, seconds)
        if sight.moment:
            moments[sight.moment] = round(seconds, 1)
    return moments


def _show(notification: Notification, terminal: Terminal) -> None:
    terminal.page(notification.text())


def _addresses(stage: Stage) -> str:
    return "\n".join(
        (
            f"site          {stage.site}",
            f"exporter      {stage.exporter}/",
            f"Prometheus    {stage.prometheus}/alerts",
            f"Alertmanager  {stage.alertmanager}/",
        )
    )


def _summary(traffic: Traffic, last: Usage, share: float, terminal: Terminal) -> None:
    answers = ", ".join(f"{count} × {status}" for status, count in sorted(traffic.answers.items()))
    terminal.title("All seen")
    terminal.say(f"clients were answered {answers}")
    terminal.say(
        f"the exporter: {last.rss_bytes / 2**20:.0f} MiB resident, {last.cpu_seconds:.1f} s of CPU,"
        f" {share:.1%} of one core"
    )


def _serve(stage: Stage, terminal: Terminal) -> None:
    terminal.title("Serving until Ctrl-C")
    terminal.say(_addresses(stage))
    while True:
        time.sleep(3600)


def _result(
    scenario: Scenario, machine: Machine, moments: dict[str, float], last: Usage, share: float
) -> dict[str, object]:
    return {
        "scenario": scenario.name,
        "systemd": machine.systemd,
        "seconds": moments,
        "exporter": {
            "rss_bytes": last.rss_bytes,
            "cpu_seconds": round(last.cpu_seconds, 2),
            "cpu_share": round(share, 4),
        },
    }


if __name__ == "__main__":
    sys.exit(main())
