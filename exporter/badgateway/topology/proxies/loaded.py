"""Which reading of a proxy's files is the one that it has loaded.

Files are read again and again, and loads are noticed; what was on disk when it was loaded is what
holds. Pure: readings and loads go in, what is loaded comes out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from badgateway.topology.nginx.loads import Generation
from badgateway.topology.proxies.place import ProxyFound
from badgateway.topology.routes import Route

LATE_SECONDS: Final = 0.05
"""How much later than a load a change may seem that it took up: starts are told in ticks."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a proxy's files said at one time.

    Attributes:
        digest: tells it from others.
        changed: when the files had last changed, seconds since the epoch.
        routes: where they lead.
        until: when they were last seen to be so.
    """

    digest: str
    changed: float
    routes: tuple[Route, ...]
    until: float

    def was_there(self, at: float) -> bool:
        """Whether files are known to have said this at a time."""
        return self.changed <= at + LATE_SECONDS and at <= self.until + LATE_SECONDS


@dataclass(frozen=True, slots=True)
class Held:
    """What is known of one proxy's configuration.

    Attributes:
        generation: its workers, and when it took up what it has.
        reading: what its files say.
        loaded: what it has; None where that is not known.
        before: what its files said before the present reading.
        doubtful: whether it may have loaded something out of sight since the last reading.
    """

    generation: Generation
    reading: Reading | None = None
    loaded: Reading | None = None
    before: Reading | None = None
    doubtful: bool = False

    def loads(self, generation: Generation) -> Held:
        """Return what holds after another look at its processes."""
        if generation == self.generation:
            return self
        before, now = self.generation, generation
        is_load = (before.master, before.loaded_at) != (now.master, now.loaded_at)
        held = replace(self, generation=now)
        if not is_load:
            return held
        if not now.certain and before.master == now.master:
            return replace(held, doubtful=True)
        known = (self.reading, self.before)
        found = next((r for r in known if r and r.was_there(now.loaded_at)), None)
        return replace(held, loaded=found, doubtful=False)

    def reads(self, reading: Reading) -> Held:
        """Return what holds after another reading of its files."""
        last, loaded = self.reading, self.loaded
        if last is None or last.digest != reading.digest:
            held = replace(self, reading=reading, before=last, doubtful=False)
        else:
            reading = replace(reading, changed=max(reading.changed, last.changed))
            held = replace(self, reading=reading, doubtful=False)
        took = reading.changed <= self.generation.floor + LATE_SECONDS
        if loaded is not None and loaded.digest == reading.digest:
            return replace(held, loaded=reading)
        if (loaded is None or self.doubtful) and took:
            return replace(held, loaded=reading)
        return replace(held, loaded=None) if self.doubtful else held


def applied(found: ProxyFound, held: Held) -> ProxyFound:
    """Return what a proxy serves, with what it has loaded."""
    generation = held.generation
    if held.loaded is None:
        return replace(found, loaded=None, loaded_digest="", loaded_at=generation.loaded_at)
    return replace(
        found,
        loaded=held.loaded.routes,
        loaded_digest=held.loaded.digest,
        loaded_at=generation.loaded_at,
    )
