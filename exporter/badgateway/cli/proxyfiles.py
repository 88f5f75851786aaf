"""Proxies' configurations that a check is asked about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from badgateway.cli import common, hostlook
from badgateway.cli.hostlook import Host
from badgateway.cli.rendering.checked import Checked
from badgateway.routecheck import expected, kinds, reading
from badgateway.routecheck.checking import Asked, Surroundings, judged, verdict
from badgateway.routecheck.reading import CannotReadError, ProxyFile, Trouble, Variables
from badgateway.topology.proxies.place import ProxyPlace


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be checked.

    Attributes:
        projects: folders of projects.
        files: proxies' configurations.
        names: backends and proxies of this host.
        everything: all of this host.
        here: whether files are judged against this host; None for where such a proxy runs.
        asked: what else is wanted of proxies' configurations.
        caddy_binary: the caddy that translates Caddyfiles; empty to look for one.
    """

    projects: Sequence[Path] = ()
    files: Sequence[Path] = ()
    names: Sequence[str] = ()
    everything: bool = False
    here: bool | None = None
    asked: Asked = field(default_factory=Asked)
    caddy_binary: str = ""


async def asked(
    expect: Path | None,
    against: Path | None,
    renames: Sequence[str],
    resolve: bool,
    caddy_binary: str,
) -> Asked:
    """Return what the options ask for; ends the program where one of them is not right."""
    names = {}
    for rename in renames:
        name, equals, other = rename.partition("=")
        if not (equals and name and other):
            common.fail(f"--map {rename}: write it as staging.example.org=www.example.org")
        names[name.lower()] = other.lower()
    if names and against is None:
        common.fail("--map says how a host is called in --against, which is not given")
    try:
        addresses = expected.read(expect) if expect is not None else None
        other_file = await _read(against, caddy_binary) if against is not None else None
    except (expected.ExpectError, CannotReadError) as error:
        common.fail(str(error))
    return Asked(addresses, other_file, names, resolve)


async def _read(
    path: Path, caddy_binary: str, variables: Variables = reading.own_variables
) -> ProxyFile:
    """Return a configuration. Raises CannotReadError."""
    try:
        path = (kinds.main_file(path) if path.is_dir() else None) or path
        kind = kinds.kind_of(path)
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or error
        raise CannotReadError(f"{path}: {said}") from None
    if not kind:
        raise CannotReadError(
            f"{path}: neither a configuration of nginx nor of Caddy, by its name and what it holds"
        )
    return await reading.read(path, kind, caddy_binary, variables)


class ProxyFiles:
    """Judges proxies' configurations."""

    def __init__(self, wanted: Wanted) -> None:
        """Begin."""
        self._wanted = wanted

    @property
    def needs_host(self) -> bool:
        """Whether this host has to be looked at for the files."""
        return any(self._is_here(file) for file in self._wanted.files)

    async def judged(self, path: Path, host: Host | None) -> Checked:
        """Return what is found for a file."""
        binary, place = self._wanted.caddy_binary, None
        is_here = host is not None and self._is_here(path)
        if host is not None and is_here:
            place = host.place(path, kinds.PROXIES.get(_kind(path), ""))
            binary = binary or (place.binary if place is not None else "")
        try:
            _may_adapt(path, host)
            file = await _read(path, binary, _variables(place))
        except CannotReadError as error:
            return Checked(str(path), "unknown", str(error), (), file=str(path))
        surroundings = _surroundings(host, place, path) if host is not None and is_here else None
        return await self._result(str(path), file, surroundings)

    async def found(self, place: ProxyPlace, host: Host) -> Checked:
        """Return what is found for the configuration of a proxy of this host."""
        path = Path(str(place.config))
        binary = self._wanted.caddy_binary or (place.binary if place.kind == "caddy" else "")
        try:
            if not place.container:
                _may_adapt(path, host)
            file = (
                _of_container(place, host)
                if place.container
                else await _read(path, binary, _variables(place))
            )
        except CannotReadError as error:
            return Checked(place.name, "unknown", str(error), (), file=str(path))
        return await self._result(place.name, file, _surroundings(host, place, path))

    async def _result(self, name: str, file: ProxyFile, host: Surroundings | None) -> Checked:
        findings, by = await judged(file, self._wanted.asked, host)
        return Checked(name, verdict(findings), "", findings, by, file.path)

    def _is_here(self, path: Path) -> bool:
        if self._wanted.here is not None:
            return self._wanted.here
        kind = _kind(path)
        return bool(kind) and hostlook.runs_here(kinds.PROXIES[kind])


def _may_adapt(path: Path, host: Host | None) -> None:
    """Raise CannotReadError for a Caddyfile where the configuration forbids to run the adapter."""
    if host is not None and not host.may_test and _kind(path) == kinds.CADDYFILE:
        raise CannotReadError(f"{path} is a Caddyfile, and running the adapter is switched off")


def _variables(place: ProxyPlace | None) -> Variables:
    """Where a Caddyfile's variables come from: the proxy's unit on its host, else our own."""
    if place is None or not place.unit:
        return reading.own_variables
    return place.environment.values


def _kind(path: Path) -> str:
    try:
        return kinds.kind_of(path)
    except (OSError, ValueError):
        return ""  # reading it will tell why


def _surroundings(host: Host, place: ProxyPlace | None, path: Path) -> Surroundings | None:
    if host.listeners is None:
        return None
    today = host.today(place, path) if place is not None else None
    is_own = place is not None and hostlook.same_file(path, str(place.config))
    return Surroundings(
        host.listeners, host.applications, place, today, is_own, host.may_test
    )  # fmt: skip


def _of_container(place: ProxyPlace, host: Host) -> ProxyFile:
    """What was read of a proxy in a container: its files are not this host's.

    Raises:
        CannotReadError: nothing was.
    """
    found = host.findings.answers.get(place.name)
    problem = next((text for text in found.problems.values() if text), "") if found else ""
    if found is None or found.on_disk is None:
        raise CannotReadError(problem or f"{place.name}: its configuration cannot be read")
    kind = kinds.NGINX if place.kind == "nginx" else kinds.CADDY_JSON
    unread = (Trouble(str(place.config), problem),) if problem else ()
    return ProxyFile(str(place.config), kind, found.on_disk, unread)
