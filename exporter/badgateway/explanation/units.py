"""Ends of units of which only systemd's lines tell.

Nobody says what ran there: a unit that carries another name than an application's (a proxy, a
database, a part of the system) is left out, and so is one that ended well by itself, as a job does.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from badgateway.dialects import systemd
from badgateway.events import Line, ServerEnd
from badgateway.explanation.told import Told

DIALECT: Final = "systemd"
_KEPT: Final = 64
_OTHERS: Final = re.compile(
    r"(?:systemd-|dbus|user@|user-|session-|init|getty|serial-getty|ssh|cron|anacron|atd|rsyslog"
    r"|syslog|logrotate|apt-|dpkg-|dnf|yum|packagekit|unattended-upgrades|man-db|fstrim|e2scrub"
    r"|mlocate|plocate|sysstat|snap|fwupd|motd|update-notifier|certbot|acme|ntp|chrony|polkit"
    r"|networking|network|NetworkManager|wpa_|ifup|ufw|firewalld|nftables|iptables|fail2ban|auditd"
    r"|nginx|openresty|caddy|haproxy|traefik|envoy|apache2|httpd|varnish|lighttpd|squid"
    r"|docker|containerd|crio|cri-o|podman|kubelet|k3s|libvirt|lxc|multipathd|udisks|lvm|mdadm"
    r"|postgres|mysql|mariadb|redis|valkey|mongo|memcached|rabbitmq|elasticsearch|opensearch|kafka"
    r"|zookeeper|etcd|consul|vault|prometheus|alertmanager|grafana|loki|promtail|node[_-]exporter"
    r"|blackbox|telegraf|collectd|netdata|zabbix|filebeat|vector|fluent|postfix|exim|dovecot|bind"
    r"|named|unbound|dnsmasq|avahi|cups|bluetooth|cloud-|google-|amazon-|waagent|qemu-guest"
    r"|backup|badgateway)"
)
_RESULTS: Final = MappingProxyType(
    {
        "oom-kill": "oom",
        "exit-code": "exit_code",
        "resources": "exec_failed",
        "signal": "signal",
        "core-dump": "signal",
        "watchdog": "signal",
        "timeout": "signal",
        "protocol": "unknown",
        "start-limit-hit": "unknown",
    }
)
"""A unit's result → the reason, where no line told how its main process ended.

A watchdog, or a start that took too long, ends in a signal of systemd's.
"""


@dataclass(slots=True)
class _Unit:
    """One unit: who supervises it, and the end that the next line may explain better."""

    supervision: systemd.Supervision = field(default_factory=systemd.Supervision)
    held: Told | None = None
    told: bool = False
    refused: bool = False


class Units:
    """The units of one file that no server's line is about."""

    def __init__(self, file: str) -> None:
        """Begin.

        Args:
            file: its name, for what is told.
        """
        self._file = file
        self._units: OrderedDict[str, _Unit] = OrderedDict()

    def read(self, number: int, line: Line, text: str) -> list[Told]:
        """Return the ends that a line of systemd's lets be told.

        Args:
            number: the line's number.
            line: the line, with its unit and systemd's fields.
            text: as it stands in the file.
        """
        if not line.unit or is_other(line.unit):
            return []
        unit = self._units.get(line.unit)
        if unit is None:
            unit = self._units[line.unit] = _Unit()
            while len(self._units) > _KEPT:
                self._units.popitem(last=False)
        fields = line.manager or {}
        message = fields.get("MESSAGE_ID")
        if message == systemd.START_LIMIT:
            unit.refused = True
            return self._release(unit)
        if message == systemd.FAILED:
            return self._failed(number, line, text, unit, fields.get("UNIT_RESULT", ""))
        released = self._release(unit)
        if message == systemd.STARTED:
            unit.refused = False
        end = unit.supervision.read(line)
        if end is not None and (end.asked or end.how != "clean"):
            reason = systemd.server_end_reason(end, None)
            unit.held, unit.told = self._told(number, line, text, reason), True
        return released

    def rest(self) -> list[Told]:
        """Return what was held back: the file ends here, or pauses."""
        return [told for unit in self._units.values() for told in self._release(unit)]

    def _failed(self, number: int, line: Line, text: str, unit: _Unit, result: str) -> list[Told]:
        unit.supervision.read(line)
        reason = _RESULTS.get(result, "unknown")
        if unit.held is not None:
            if reason == "oom":
                unit.held = self._told(unit.held.line, line, unit.held.text, reason)
            return self._release(unit)
        if (unit.refused and unit.told) or (result == "start-limit-hit" and unit.told):
            return []  # the same end once more, as the reason of a start that was refused
        unit.told = True
        return [self._told(number, line, text, reason)]

    def _told(self, number: int, line: Line, text: str, reason: str) -> Told:
        event = ServerEnd(line.at, "", reason, None, text[:300])
        return Told(event, DIALECT, self._file, number, text)

    @staticmethod
    def _release(unit: _Unit) -> list[Told]:
        held, unit.held = unit.held, None
        return [held] if held is not None else []


def is_other(unit: str) -> bool:
    """Whether a unit is known to run something else than an application."""
    return _OTHERS.match(unit) is not None
