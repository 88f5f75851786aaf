"""The exporter's life as its manager sees it: reloads, and what systemd is told.

sd_notify(3): READY once scrapes are answered, RELOADING and READY around a reload (with
MONOTONIC_USEC, as systemd 253 and later ask of ``Type=notify-reload``), STATUS with what is
watched, WATCHDOG while the loop turns, STOPPING at the end.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from badgateway import config as settings
from badgateway.blocking import Blocking
from badgateway.exporter import Exporter

STATUS_SECONDS: Final = 5.0
_READ_SECONDS: Final = 10.0
_STOPPING: Final = "the exporter is stopping"

log = logging.getLogger("badgateway")

Notify = Callable[[str], object]


def notifier() -> Notify:
    """Return what tells systemd; nothing is told where it does not listen."""
    if not os.environ.get("NOTIFY_SOCKET"):
        return lambda _: None
    try:
        from systemd import daemon
    except ImportError:
        log.warning(
            "systemd waits to be notified, but its bindings are not installed: install "
            "badgateway-exporter[journal], or set Type=exec in the unit"
        )
        return lambda _: None
    notify: Notify = daemon.notify
    return notify


class Lifecycle:
    """Reloads the configuration and keeps systemd informed."""

    def __init__(self, exporter: Exporter, path: Path | None, notify: Notify) -> None:
        """Begin.

        Args:
            exporter: what is watched over.
            path: its configuration file; None for none, and a reload then changes nothing.
            notify: tells systemd.
        """
        self._exporter, self._path, self._notify = exporter, path, notify
        self._disk = Blocking("reading the configuration", _READ_SECONDS)
        self._one_at_a_time = asyncio.Lock()
        self._reloads: set[asyncio.Task[str]] = set()
        self._is_signalled = False
        self._is_stopping = False

    def request_reload(self) -> None:
        """Reload soon; for a signal handler. One that waits already will read what is there now."""
        if self._is_signalled or self._is_stopping:
            return
        self._is_signalled = True
        task = asyncio.create_task(self.reload())
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)

    async def reload(self) -> str:
        """Read the configuration again.

        Returns:
            What is wrong with it, and the old one holds on; an empty string when it was taken over.
        """
        async with self._one_at_a_time:
            self._is_signalled = False  # a signal from now on means what is written from now on
            if self._is_stopping:
                return _STOPPING
            self._notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
            try:
                return await self._reload()
            finally:
                if not self._is_stopping:
                    self._notify(f"READY=1\nSTATUS={self.status()}")

    async def _reload(self) -> str:
        try:
            config = await self._disk.call(settings.load, self._path)
        except (settings.ConfigError, OSError) as error:
            self._exporter.is_configured_as_asked = False
            for problem in str(error).splitlines():
                log.error("the configuration was not taken over: %s", problem)
            return str(error)
        if self._is_stopping:
            return _STOPPING
        unchanged = config == self._exporter.config
        await self._exporter.reconfigure(config)
        self._exporter.is_configured_as_asked = True
        log.info("configuration reloaded%s", ": nothing has changed" if unchanged else "")
        return ""

    def status(self) -> str:
        """What is watched, one line for ``systemctl status``."""
        exporter = self._exporter
        if not exporter.is_ready:
            return "looking at the host"
        failing = sorted(
            f"{name} ({verdict.cause})"
            for name, verdict in exporter.conclusions.verdicts.items()
            if verdict.cause != "none"
        )
        number = len(exporter.paths.backends)
        text = f"watching {number} backend{'' if number == 1 else 's'}"
        if failing:
            text += f", failing: {', '.join(failing[:3])}{', …' if len(failing) > 3 else ''}"
        lost = sorted(name for name, status in exporter.statuses().items() if status.up is False)
        if lost:
            text += f", not readable: {', '.join(lost[:3])}{', …' if len(lost) > 3 else ''}"
        if not exporter.is_configured_as_asked:
            text += ", the last reload was refused"
        return text

    async def run(self) -> None:
        """Tell systemd that it is served, and then that all is well, until cancelled."""
        told = self.status()
        self._notify(f"READY=1\nSTATUS={told}")
        pause = watchdog_seconds()
        while True:
            await asyncio.sleep(min(pause, STATUS_SECONDS))
            now = self.status()
            # the loop turns: that is what a watchdog wants to know
            self._notify("WATCHDOG=1" + (f"\nSTATUS={now}" if now != told else ""))
            told = now

    def stopping(self) -> None:
        """Tell systemd that the end has begun; nothing is reloaded any more."""
        self._is_stopping = True
        self._notify("STOPPING=1\nSTATUS=stopping")


def watchdog_seconds() -> float:
    """Return how often systemd wants to hear: half its limit (sd_watchdog_enabled(3)).

    Infinite when it does not ask, or asks another process.
    """
    try:
        limit = int(os.environ.get("WATCHDOG_USEC", "0"))
        process = int(os.environ.get("WATCHDOG_PID", "0"))
    except ValueError:
        return float("inf")
    if limit <= 0 or process not in (0, os.getpid()):
        return float("inf")
    return limit / 1e6 / 2
