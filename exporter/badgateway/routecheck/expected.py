"""What is expected to listen, as somebody lists it: for a judgement far from the host itself."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from badgateway import regularfile
from badgateway.topology.backends import WILDCARDS, same_address
from badgateway.topology.destinations import problem

_LIMIT: Final = 1024 * 1024
_ENTRIES: Final = 10_000
_NEAR: Final = 0.7
_ANY: Final = ":*"
"""The end of an address that stands for every port of a host."""


class ExpectError(Exception):
    """A list cannot be read; the text says where and why."""


def read(path: Path) -> tuple[str, ...]:
    """Return the addresses that a file lists, ``host:port`` or ``unix:/path``.

    One address a line, ``#`` before a remark; or a list in YAML or JSON; or a configuration of
    badgateway (as ``badgateway discover --yaml`` prints one), whose backends' upstreams are taken;
    or a compose file, whose services are expected at any port (``web:*``) and at those published.

    Raises:
        ExpectError: it cannot be read, lists nothing, or something that is no address.
    """
    try:
        data, _ = regularfile.read(path, _LIMIT)
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise ExpectError(f"{path}: {error.strerror}") from None
    except ValueError:
        raise ExpectError(f"{path}: not a text in UTF-8") from None
    found = list(_numbered(path, text))
    for line, address in found:
        if not address.endswith(_ANY) and (trouble := problem(address)):
            where = f"{path}:{line}" if line else str(path)
            raise ExpectError(f"{where}: `{address[:80]}` is no address: {trouble}")
    if not found:
        raise ExpectError(f"{path}: lists nothing; one address a line, such as 127.0.0.1:8001")
    return tuple(dict.fromkeys(address for _, address in found))


def fits(upstream: str, expected: Iterable[str]) -> bool:
    """Tell whether an upstream is one of those expected."""
    name = upstream.rpartition(":")[0]
    return any(
        same_address(upstream, address) or address == f"{name}{_ANY}" for address in expected
    )


def nearest(upstream: str, expected: Iterable[str]) -> str:
    """Return the expected address that was probably meant; empty when none or several are near."""
    known = [address for address in expected if _is_socket(address) == _is_socket(upstream)]
    host, _, port = upstream.rpartition(":")
    same_port = [a for a in known if a.rpartition(":")[2] == port and not _is_socket(a)]
    same_host = [a for a in known if a.rpartition(":")[0] == host and not _is_socket(a)]
    for several in (same_port, same_host):
        if len(several) == 1:
            return several[0]
    filled = {a.replace(_ANY, f":{port}") for a in same_port or same_host or known}
    ranked = sorted(((_likeness(upstream, a), a) for a in filled), reverse=True)
    near = [(likeness, a) for likeness, a in ranked if likeness[1] >= _NEAR]
    is_sure = near[1:] == [] or near[0][0] > near[1][0]
    return near[0][1] if near and is_sure else ""


def _likeness(one: str, other: str) -> tuple[bool, float]:
    """How alike two addresses are: the same characters in another order first of all."""
    ratio = difflib.SequenceMatcher(None, one, other).ratio()
    return sorted(one) == sorted(other), round(ratio, 6)


def _is_socket(address: str) -> bool:
    return address.startswith("unix:")


def _numbered(path: Path, text: str) -> Iterator[tuple[int, str]]:
    """Yield (line or 0, address)."""
    stripped = [line.partition(" #")[0].strip() for line in text.splitlines()]
    lines = [(n, line) for n, line in enumerate(stripped, 1) if line and not line.startswith("#")]
    if all(":" in line and not line.startswith(("-", "[\"", "['", "{")) and " " not in line
           and not line.endswith(":") for _, line in lines):  # fmt: skip
        yield from lines
        return
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark is not None else str(path)
        raise ExpectError(
            f"{where}: neither a list of addresses nor YAML: {getattr(error, 'problem', error)}"
        ) from None
    if not isinstance(document, dict | list):
        yield from lines  # the one that is no address is told
        return
    for number, item in enumerate(_items(path, document)):
        if number >= _ENTRIES:
            raise ExpectError(f"{path}: more than {_ENTRIES} addresses")
        yield 0, item


def _items(path: Path, document: Any) -> Iterator[str]:
    services = document.get("services") if isinstance(document, dict) else None
    if isinstance(services, dict):
        for name, service in services.items():
            yield from _of_service(str(name), service if isinstance(service, dict) else {})
    elif isinstance(document, dict):
        backends = document.get("backends")
        if not isinstance(backends, list):
            raise ExpectError(f"{path}: neither a list of addresses nor has it `backends`")
        for backend in backends:
            given = backend.get("upstreams") if isinstance(backend, dict) else None
            yield from map(str, given if isinstance(given, list) else ())
    else:
        yield from map(str, document)


def _of_service(name: str, service: Mapping[str, Any]) -> Iterator[str]:
    """Where a service of a compose file is reached: by its names, and where it is published."""
    names = [name, service.get("container_name"), service.get("hostname")]
    networks = service.get("networks")
    for network in networks.values() if isinstance(networks, dict) else ():
        aliases = network.get("aliases") if isinstance(network, dict) else None
        names += aliases if isinstance(aliases, list) else []
    yield from (f"{each}{_ANY}" for each in names if isinstance(each, str) and each)
    ports = service.get("ports")
    for given in ports if isinstance(ports, list) else ():
        if isinstance(given, dict):
            host, port = given.get("host_ip", ""), str(given.get("published", ""))
        else:
            parts = str(given).partition("/")[0].rsplit(":", 2)
            host, port = parts[0] if len(parts) == 3 else "", parts[-2] if len(parts) > 1 else ""
        host = "127.0.0.1" if host in ("", *WILDCARDS) else host
        if port.isdigit():
            yield f"{host}:{port}"
