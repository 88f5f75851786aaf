"""The numbers that rules and dashboards share: a panel turns red when the page goes out."""

from __future__ import annotations

from typing import Final

JOB: Final = "badgateway"
"""The scrape job whose series the rules read."""

SCRAPE_SECONDS: Final = 15
"""The scrape interval all windows are chosen for; a shorter one is fine."""

FAILED_PROBES: Final = 3
"""Probes failed in a row that page: 15 s of failure at the exporter's own 5 s, and hysteresis."""

ERROR_RATIO: Final = 0.25
"""Share of answers of the last minute that are 502, 503 or 504, above which it pages."""

ERROR_COUNT: Final = 5
"""Such answers a minute below which no ratio pages: at night one in three may be one in all."""

ERROR_WINDOW: Final = "1m"
"""Four scrapes: a shorter window may hold too few samples for a rate."""

CATCHING_UP_WINDOW: Final = "2m"
"""For how long after lines of an absence were read ``ERROR_WINDOW`` may still contain them."""

KEEP_FIRING: Final = "2m"
"""For how long a page survives a recovery: an outage that comes and goes is one page."""

HOLD_LIMIT: Final = "1h"
HOLD_LIMIT_SECONDS: Final = 3600
"""How long a failing backend's page waits for deploys at most, however many are announced."""

UNTOLD_LIMIT: Final = "5m"
UNTOLD_LIMIT_SECONDS: Final = 300
"""The same for restarts that nobody announced: a cure that is tried again and again is none."""

HELD_WINDOW: Final = "75s"
"""``ERROR_WINDOW`` and a scrape: for so long the ratio contains what failed during a deploy."""

NEXT_START_WAIT: Final = "5m"
"""A proper deploy is in drift between its checkout and the end of its installation."""

NEXT_WORKER_WAIT: Final = "1m"
"""The same where the next worker to be recycled already loads the broken code."""

NEXT_RELOAD_WAIT: Final = "30s"
"""A configuration is saved, looked at and reloaded within a minute or two; half-written ones are
gone sooner."""

DRIFT_WAIT: Final = "10m"
"""As ``NEXT_START_WAIT``, for a difference that no start is known to trip over."""

RESTARTS: Final = 3
RESTARTS_WINDOW: Final = "15m"
"""Starts that nobody ordered, and the time they happen in, that make a warning."""

WORKERS: Final = 3
WORKERS_WINDOW: Final = "10m"
"""Workers that died, and the time they died in, that make a warning."""

WORKERS_CATCHING_UP_WINDOW: Final = "11m"
"""``WORKERS_WINDOW`` and a minute."""

PROBE_AGE_SECONDS: Final = 60
"""Age of the last probe above which probing has stalled."""
