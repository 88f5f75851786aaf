"""The watchers that every scenario has: the exporter, Prometheus and Alertmanager.

Each by its own shipped unit where systemd runs it. Prometheus and Alertmanager load the files of
``alerts/`` as they are; on a machine without a network of its own their ports must differ, so
copies with other ports are loaded there (the rules as they are).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from tests.lab import parts
from tests.lab.host import CHECKOUT_INSIDE
from tests.lab.machine import Machine, Service
from tests.lab.pager import SHIPPED_PORT

EXPORTER_PORT: Final = 10502
PROMETHEUS_PORT: Final = 9090
ALERTMANAGER_PORT: Final = 9093
PACKAGES: Final = ("prometheus", "prometheus-alertmanager")

CONFIG: Final = "/etc/badgateway/badgateway.yml"
_COMMAND: Final = f"""\
#!/bin/sh
export PYTHONPATH={CHECKOUT_INSIDE}/exporter
exec {CHECKOUT_INSIDE}/.venv/bin/python {CHECKOUT_INSIDE}/.venv/bin/badgateway "$@"
"""


def install_exporter(machine: Machine, configuration: str) -> None:
    """Write what ``badgateway serve`` needs, with the text of its configuration file."""
    machine.write(CONFIG, configuration)
    if machine.systemd:
        machine.write("/usr/bin/badgateway", _COMMAND, 0o755)
        machine.write(
            "/usr/lib/sysusers.d/badgateway.conf", _deployed("sysusers.d/badgateway.conf")
        )
        machine.run(["systemd-sysusers"])
        machine.write("/etc/default/badgateway", f"ARGS=--config.file={CONFIG}\n")


def start_exporter(machine: Machine, configuration: str) -> None:
    """Start ``badgateway serve`` with the text of its configuration file."""
    install_exporter(machine, configuration)
    address = f"127.0.0.1:{machine.port(EXPORTER_PORT)}"
    options = ["--config.file", machine.place(CONFIG), "--web.listen-address", address]
    storage = ["--storage.path", machine.place("/var/lib/badgateway")]
    machine.start(
        Service(
            "badgateway",
            [*badgateway(machine), "serve", *options, *storage],
            unit=_deployed("badgateway.service"),
        )
    )


def badgateway(machine: Machine) -> list[str]:
    """Return how the command ``badgateway`` is called on ``machine``."""
    if machine.systemd:
        return ["/usr/bin/badgateway"]
    return [sys.executable, str(Path(sys.executable).with_name("badgateway"))]


def start_prometheus(machine: Machine) -> None:
    """Start Prometheus and Alertmanager on the shipped files."""
    if machine.systemd:
        folder = f"{CHECKOUT_INSIDE}/alerts"
        machine.run(["install", "-d", "-o", "prometheus", "/var/lib/prometheus"])
    else:
        folder = machine.place("/etc/prometheus/badgateway")
        _copy_with_other_ports(machine)
    prometheus = [
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={machine.place('/var/lib/prometheus/tsdb')}",
        f"--web.listen-address=127.0.0.1:{machine.port(PROMETHEUS_PORT)}",
    ]
    alertmanager = [
        f"--config.file={folder}/alertmanager.yml",
        f"--storage.path={machine.place('/var/lib/prometheus/alertmanager')}",
        f"--web.listen-address=127.0.0.1:{machine.port(ALERTMANAGER_PORT)}",
        "--cluster.listen-address=",
    ]
    for unit, program, arguments in (
        ("prometheus", "prometheus", prometheus),
        ("prometheus-alertmanager", "alertmanager", alertmanager),
    ):
        machine.write(f"/etc/default/{unit}", f'ARGS="{" ".join(arguments)}"\n')
        machine.start(Service(unit, [str(parts.binary(program)), *arguments]))


def _deployed(name: str) -> str:
    return (parts.CHECKOUT / "deploy" / name).read_text()


def _copy_with_other_ports(machine: Machine) -> None:
    shipped = parts.CHECKOUT / "alerts"
    for path in [shipped / "rules.yml", *shipped.glob("templates/*.tmpl")]:
        machine.write(f"/etc/prometheus/badgateway/{path.relative_to(shipped)}", path.read_text())
    for name in ("prometheus.yml", "alertmanager.yml"):
        text = (shipped / name).read_text()
        for number in (EXPORTER_PORT, ALERTMANAGER_PORT, SHIPPED_PORT):
            text = text.replace(f"127.0.0.1:{number}", f"127.0.0.1:{machine.port(number)}")
        machine.write(f"/etc/prometheus/badgateway/{name}", text)
