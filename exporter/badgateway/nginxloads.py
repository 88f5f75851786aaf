"""What each nginx of this host has loaded: its processes followed, its files' readings kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from badgateway import __version__
from badgateway.sources import proctree
from badgateway.sources.pidfds import Pidfds
from badgateway.topology.nginx import loads as nginx_loads
from badgateway.topology.nginx.loads import End, Generation, Identity, Seen
from badgateway.topology.proxies.loaded import Held, Reading, applied
from badgateway.topology.proxies.place import ProxyFound

_ENDS_KEPT_SECONDS: Final = 60.0


class NginxLoads:
    """Knows of each nginx when it took up what, as far as its processes show it."""

    def __init__(self, woken: Callable[[], None], learnt: Mapping[str, Any] | None = None) -> None:
        """Begin.

        Args:
            woken: called when a process has ended: it is time for a look.
            learnt: what ``memory`` returned in an earlier life.
        """
        self._woken = woken
        self._pidfds = Pidfds(self._ended)
        self._ends: dict[Identity, End] = {}
        self._held = _recalled(learnt)
        self._now: dict[str, Generation] = {n: held.generation for n, held in self._held.items()}

    def memory(self) -> dict[str, Any]:
        """What must be known after a restart of the exporter."""
        return {
            "boot": proctree.boot_id(),
            "version": __version__,
            "held": {name: msgspec.to_builtins(held) for name, held in self._held.items()},
        }

    def knows(self, name: str) -> bool:
        """Tell whether a proxy has been seen to run, in this boot."""
        return name in self._now

    def see(self, name: str, seen: Seen) -> bool:
        """Take what was seen of a proxy's processes; tell whether it has loaded anew."""
        known = self._now.get(name)
        for identity in (seen.master, *(worker.identity for worker in seen.workers)):
            self._pidfds.watch(*identity)
        if known is None:
            self._now[name] = nginx_loads.begin(seen)
            return True
        if any(self._pidfds.watches(i) for i in nginx_loads.misses(known, seen)):
            return False  # how they ended is told in a moment, and wakes
        self._now[name] = nginx_loads.follow(known, seen, self._ends)
        kept = {identity for found in self._now.values() for identity in found.workers}
        oldest = time.time() - _ENDS_KEPT_SECONDS
        self._ends = {i: end for i, end in self._ends.items() if i in kept or end.at > oldest}
        return self._now[name].loaded_at != known.loaded_at

    def read(self, name: str, found: ProxyFound, at: float) -> ProxyFound:
        """Take another reading of a proxy's files; return it with what the proxy has loaded.

        Args:
            name: the proxy.
            found: what its files say; without a digest they could not be read whole.
            at: when that was so, seconds since the epoch.
        """
        generation = self._now.get(name)
        if generation is None:
            return found
        held = self._held.get(name, Held(generation)).loads(generation)
        if found.digest and found.on_disk is not None:
            held = held.reads(Reading(found.digest, found.changed, found.on_disk, at))
        self._held[name] = held
        return applied(found, held)

    def forget(self, names: Iterable[str]) -> None:
        """Follow these proxies no longer."""
        for name in names:
            self._now.pop(name, None)
            self._held.pop(name, None)

    def close(self) -> None:
        """Watch no process any more."""
        self._pidfds.close()

    def _ended(self, identity: Identity, at: float, status: int | None) -> None:
        self._ends[identity] = End(at, status)
        self._woken()


def _recalled(saved: object) -> dict[str, Held]:
    """What was known in an earlier life, if it was of this boot and of this version's making."""
    if not isinstance(saved, Mapping):
        return {}
    if saved.get("boot") != proctree.boot_id() or saved.get("version") != __version__:
        return {}
    found = {}
    held = saved.get("held")
    for name, known in held.items() if isinstance(held, Mapping) else ():
        try:
            found[str(name)] = msgspec.convert(known, Held)
        except msgspec.ValidationError:
            continue  # another version wrote it
    return found
