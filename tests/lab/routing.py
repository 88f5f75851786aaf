"""How long the shipped routes let an alert wait before somebody is told."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from tests.lab import parts

_UNITS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_MATCHER: Final = re.compile(r"""^\s*([a-zA-Z_]\w*)\s*(=~|!~|!=|=)\s*"?(.*?)"?\s*$""")


@dataclass(frozen=True)
class Wait:
    """What lies between an alert that becomes pending and the person who is told."""

    receiver: str
    group: str
    """The wait for others of its group, as the route says it (``30s``)."""
    seconds: float
    """The same in seconds."""


def wait_of(labels: Mapping[str, str]) -> Wait:
    """Return how the shipped ``alerts/alertmanager.yml`` treats an alert with ``labels``."""
    settings = yaml.safe_load((parts.CHECKOUT / "alerts" / "alertmanager.yml").read_text())
    route = _route(settings["route"], labels)
    return Wait(route["receiver"], route["group_wait"], _seconds(route["group_wait"]))


def _route(route: dict[str, Any], labels: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings of the first and deepest route that takes an alert with ``labels``."""
    for child in route.get("routes", ()):
        if all(_matches(matcher, labels) for matcher in child.get("matchers", ())):
            inherited = {key: value for key, value in route.items() if key != "routes"}
            return _route({**inherited, **child}, labels)
    return route


def _matches(matcher: str, labels: Mapping[str, str]) -> bool:
    parsed = _MATCHER.match(matcher)
    assert parsed is not None, f"not a matcher: {matcher}"
    name, sign, wanted = parsed.groups()
    value = labels.get(name, "")
    fits = re.fullmatch(wanted, value) is not None if "~" in sign else value == wanted
    return fits != sign.startswith("!")


def _seconds(duration: str) -> float:
    found = re.findall(r"(\d+)(ms|s|m|h|d)", duration)
    return float(sum(int(number) * _UNITS[unit] for number, unit in found))
