"""Watching the watcher: each second what the exporter says, and every alert that Prometheus saw."""

from __future__ import annotations

import collections
import threading
import time
from typing import Any, Final

import httpx
from prometheus_client.parser import text_string_to_metric_families

_PREFIX: Final = "badgateway_"
_STATES: Final = ("diagnosis", "risk", "source_up")


class Watching:
    """Scrapes an exporter once a second from ``start`` to ``stop``."""

    def __init__(self, exporter: str, prometheus: str) -> None:
        """Both are URLs."""
        self.scrapes = 0
        self.missed = 0
        """Scrapes that were not answered."""
        self.diagnoses: collections.Counter[str] = collections.Counter()
        """``backend cause`` → number of scrapes that said so."""
        self.risks: collections.Counter[str] = collections.Counter()
        """``backend risk`` → likewise."""
        self.down: collections.Counter[str] = collections.Counter()
        """Source → scrapes in which it could not be read."""
        self.moments: list[tuple[float, str]] = []
        """When something other than ``none`` was said, seconds since the start."""
        self._exporter, self._prometheus = exporter, prometheus
        self._client = httpx.Client(timeout=5.0, trust_env=False)
        self._stopping = threading.Event()
        self._begun = time.time()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._begun = time.time()
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stopping.set()
        self._thread.join()

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of a metric's series with these labels, as exposed now."""
        return sum(
            float(sample.value)
            for sample in self._samples()
            if sample.name == _PREFIX + name and labels.items() <= sample.labels.items()
        )

    def alerts(self) -> dict[str, int]:
        """``alert state severity`` → evaluations since the start, the Watchdog left out."""
        found = self._ask(f"count_over_time(ALERTS[{self._seconds()}s])")
        return {
            " ".join(
                one["metric"][label] for label in ("alertname", "alertstate", "severity")
            ): int(float(one["value"][1]))
            for one in found
            if one["metric"]["alertname"] != "Watchdog"
        }

    def watchdog(self) -> int:
        """Return for how many evaluations alerting was seen to work."""
        found = self._ask(f'count_over_time(ALERTS{{alertname="Watchdog"}}[{self._seconds()}s])')
        return sum(int(float(one["value"][1])) for one in found)

    def scraped(self) -> bool:
        """Tell whether Prometheus sees the exporter."""
        return bool(self._ask('up{job="badgateway"} == 1'))

    def _seconds(self) -> int:
        return max(int(time.time() - self._begun), 1)

    def _ask(self, query: str) -> list[dict[str, Any]]:
        url = f"{self._prometheus}/api/v1/query"
        answer = self._client.get(url, params={"query": query})
        answer.raise_for_status()
        found: list[dict[str, Any]] = answer.json()["data"]["result"]
        return found

    def _samples(self) -> list[Any]:
        text = self._client.get(f"{self._exporter}/metrics").text
        return [s for family in text_string_to_metric_families(text) for s in family.samples]

    def _run(self) -> None:
        with httpx.Client(timeout=5.0, trust_env=False) as client:
            while not self._stopping.wait(1.0):
                try:
                    text = client.get(f"{self._exporter}/metrics").text
                except httpx.HTTPError:
                    self.missed += 1
                    continue
                self.scrapes += 1
                self._note(text)

    def _note(self, text: str) -> None:
        wanted = tuple(_PREFIX + name + "{" for name in _STATES)
        lines = [line for line in text.splitlines() if line.startswith(wanted)]
        for family in text_string_to_metric_families("\n".join(lines) + "\n"):
            for sample in family.samples:
                self._state(sample.name.removeprefix(_PREFIX), sample.labels, sample.value)

    def _state(self, name: str, labels: dict[str, str], value: float) -> None:
        if name == "diagnosis" and value == 1:
            said = f"{labels['backend']} {labels['cause']}"
            self.diagnoses[said] += 1
        elif name == "risk" and value == 1:
            said = f"{labels['backend']} {labels['risk']}"
            self.risks[said] += 1
        elif name == "source_up" and value == 0:
            said = f"{labels['source']} down"
            self.down[labels["source"]] += 1
        else:
            return
        if not said.endswith(" none"):
            self.moments.append((round(time.time() - self._begun, 1), said))
