"""The path map as a configuration to start from, which ``badgateway serve`` takes as it is."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import yaml

from badgateway.cli.rendering.pathmap import Application, Discovered, FoundProxy
from badgateway.cli.rendering.words import plain
from badgateway.config import addresses, keytypes
from badgateway.config.checks import OTHER

_MANAGED: Final = {"systemd": "unit", "docker": "container"}


def text(found: Discovered, environment: str, now: float) -> str:
    """Return the configuration as YAML, with remarks on where each part was found.

    What a configuration cannot name (an address that is no name, a file that is not known) is
    left out: it is discovered again.

    Args:
        found: what was discovered.
        environment: the ``environment`` label.
        now: seconds since the epoch.
    """
    when = time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(now))
    lines = [
        f"# What `badgateway discover` found at {when}.",
        "# Everything here is found again by itself: keep what you want to name or to correct.",
        *_dumped({"environment": environment}),
    ]
    backends = [(_remark(a), _backend(a)) for a in found.applications if _is_name(a.name)]
    backends += [
        (f"# at {name}: not found on this host", {"name": name, "upstreams": [name]})
        for name in found.elsewhere
        if _is_name(name) and not addresses.upstream_problem(name)
    ]
    lines += _listed("backends", backends)
    named = [p for p in found.proxies if re.search(keytypes.NAME, p.name)]
    lines += _listed("proxies", ((_remark_proxy(p), _proxy(p)) for p in named))
    lines += [
        f"# {_plain(p.name)}, {p.kind} of a container: found by itself"
        for p in found.proxies
        if p not in named
    ]
    lines += [
        f"# cannot be read: {_plain(name)}: {_plain(why)}" for name, why in found.problems.items()
    ]
    return "\n".join(lines) + "\n"


def _listed(key: str, items: Iterable[tuple[str, Mapping[str, Any]]]) -> Iterator[str]:
    held = list(items)
    yield f"{key}:" if held else f"{key}: []"
    for remark, item in held:
        yield f"  {remark}"
        first, *rest = _dumped(item)
        yield f"  - {first}"
        yield from (f"    {line}" for line in rest)


def _dumped(item: Mapping[str, Any]) -> list[str]:
    written = yaml.safe_dump(dict(item), sort_keys=False, allow_unicode=False, width=10_000)
    return written.splitlines()


def _backend(application: Application) -> dict[str, Any]:
    item: dict[str, Any] = {"name": application.name}
    key = _MANAGED.get(application.manager, "")
    pattern = keytypes.UNIT if key == "unit" else keytypes.CONTAINER
    if key and re.search(pattern, application.unit):
        item[key] = application.unit
    known = dict.fromkeys((*application.listens, *application.upstreams))
    upstreams = [address for address in known if not addresses.upstream_problem(address)]
    if upstreams:
        item["upstreams"] = upstreams
    for name in ("project", "virtualenv"):
        path = getattr(application, name)
        if path and re.search(keytypes.ABSOLUTE, path):
            item[name] = path
    return item


def _proxy(proxy: FoundProxy) -> dict[str, Any]:
    item: dict[str, Any] = {"name": proxy.name, "kind": proxy.kind}
    if proxy.unit and re.search(keytypes.UNIT, proxy.unit):
        item["unit"] = proxy.unit
    if proxy.admin and not addresses.admin_problem(proxy.admin):
        item["admin"] = proxy.admin
    if proxy.config and re.search(keytypes.ABSOLUTE, proxy.config):
        item["config"] = proxy.config
    return item


def _is_name(name: str) -> bool:
    return bool(re.search(keytypes.BACKEND, name)) and name != OTHER


def _remark(application: Application) -> str:
    what = f"{application.manager or 'configured'} {application.unit}".strip()
    served = f", {application.server} {application.entry}".rstrip()
    led = "" if application.led_to else "; no proxy leads to it"
    return f"# {_plain(what)}{_plain(served)}{led}"


def _remark_proxy(proxy: FoundProxy) -> str:
    sites = sorted({site.site for site in proxy.sites})
    more = ", …" if len(sites) > 5 else ""
    return f"# serves {_plain(', '.join(sites[:5]))}{more}" if sites else "# leads nowhere"


def _plain(words: str) -> str:
    """Words that cannot end the remark they stand in."""
    return plain(words)[:200]
