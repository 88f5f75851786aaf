"""Which metrics a scrape asks for: ``name[]``, and ``collect[]`` or ``exclude[]``.

``name[]`` is that of Prometheus' client libraries: only these families or samples. ``collect[]``
and ``exclude[]`` are node_exporter's: only these groups of metrics, or all but these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from prometheus_client import Metric

from badgateway import catalogue

GROUPS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "exporter": (
            "build_info", "checkpoint_", "collector_", "config_last_", "log_lines_",
            "series_", "source_",
        ),
        "paths": ("backend_",),
        "probes": ("probe_",),
        "proxies": ("accept_queue_", "client_aborts_", "proxy_", "upstream_"),
        "services": ("deploy_", "deploying", "memory_", "service_"),
        "workers": ("server_exits_", "worker"),
        "dependencies": ("dependency_", "next_start", "process_stale", "restart_hazard"),
        "settings": ("config_mismatch", "timeout_"),
        "diagnosis": ("diagnosis", "risk"),
    }
)  # fmt: skip
"""Group → how the names of its metrics begin, without the prefix. What is not the catalogue's, of
the process and its Python, is the exporter's."""

_SUFFIXES: Final = ("", "_total", "_bucket", "_count", "_sum", "_info", "_created")


class SelectionError(ValueError):
    """What is asked for is not to be had; the text says what is."""


def group(metric: str) -> str:
    """Return the group of a metric of the catalogue, without its prefix; "" if it has none."""
    return next((name for name, begins in GROUPS.items() if metric.startswith(begins)), "")


@dataclass(frozen=True, slots=True)
class Selection:
    """What a scrape asks for.

    Attributes:
        names: families or samples; empty means every one.
        groups: groups; None means every one.
    """

    names: frozenset[str] = frozenset()
    groups: frozenset[str] | None = None

    @property
    def everything(self) -> bool:
        """Whether nothing is left out."""
        return not self.names and self.groups is None

    def has(self, family: Metric) -> bool:
        """Whether a family is asked for."""
        if self.groups is not None and self._group(family.name) not in self.groups:
            return False
        return not self.names or any(family.name + suffix in self.names for suffix in _SUFFIXES)

    @staticmethod
    def _group(name: str) -> str:
        if not name.startswith(catalogue.PREFIX):
            return "exporter"
        return group(name.removeprefix(catalogue.PREFIX)) or "exporter"


EVERYTHING: Final = Selection()


def selection(names: Sequence[str], collect: Sequence[str], exclude: Sequence[str]) -> Selection:
    """Return what the values of ``name[]``, ``collect[]`` and ``exclude[]`` ask for.

    Raises:
        SelectionError: they contradict each other, or name no group.
    """
    if collect and exclude:
        raise SelectionError("Combined collect and exclude queries are not allowed.")
    for asked in (*collect, *exclude):
        if asked not in GROUPS:
            # What was asked for is not repeated: the answer is of our words only.
            raise SelectionError(f"Unknown collector; there are: {', '.join(GROUPS)}.")
    groups = None
    if collect:
        groups = frozenset(collect)
    elif exclude:
        groups = frozenset(GROUPS) - frozenset(exclude)
    return Selection(frozenset(names), groups)
