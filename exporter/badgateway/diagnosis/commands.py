"""The commands that an operator runs next, for whatever manages a backend."""

from __future__ import annotations

from badgateway.topology.backends import Backend
from badgateway.topology.proxies.state import ProxyState


def show(backend: Backend) -> tuple[str, ...]:
    """Return the commands that show a backend's log and state; none where nothing manages it."""
    unit = backend.unit
    if not unit:
        return ()
    if backend.manager != "docker":
        return (f"journalctl -u {unit} -n 50 --no-pager", f"systemctl status {unit}")
    project, is_compose, service = unit.partition("/")
    if is_compose:
        compose = f"docker compose -p {project}"
        return (f"{compose} logs --tail 50 {service}", f"{compose} ps -a {service}")
    return (f"docker logs --tail 50 {unit}", f"docker inspect {unit}")


def start(backend: Backend) -> str:
    """Return the command that starts a backend."""
    return _order(backend, "start") or "start it"


def restart(backend: Backend) -> tuple[str, ...]:
    """Return the command that starts a backend anew; none where nothing manages it."""
    order = _order(backend, "restart")
    return (order,) if order else ()


def reload(state: ProxyState | None) -> tuple[str, ...]:
    """Return the command by which a proxy takes up its files; none where nothing tells it."""
    place = state.place if state is not None else None
    if place is None:
        return ()
    if place.unit:
        return (f"systemctl reload {place.unit.removesuffix('.service')}",)
    config = f" --config {place.config}" if place.config else ""
    words = f"caddy reload{config}" if place.kind == "caddy" else "nginx -s reload"
    if place.container:
        return (_inside(place.container, words),)
    if place.kind == "nginx" and place.binary:
        words = f"{place.binary}{f' -c {place.config}' if place.config else ''} -s reload"
    return (words,)


def show_proxy(state: ProxyState | None) -> tuple[str, ...]:
    """Return the commands that start a proxy, and that show its state and log."""
    place = state.place if state is not None else None
    if place is None:
        return ()
    if place.unit:
        unit = place.unit.removesuffix(".service")
        return (
            f"systemctl start {unit}", f"systemctl status {unit}",
            f"journalctl -u {unit} -n 50 --no-pager",
        )  # fmt: skip
    if not place.container:
        return ()
    project, is_compose, service = place.container.partition("/")
    if is_compose:
        compose = f"docker compose -p {project}"
        return (f"{compose} start {service}", f"{compose} logs --tail 50 {service}")
    return (f"docker start {project}", f"docker logs --tail 50 {project}")


def _inside(container: str, words: str) -> str:
    """A command run in a container, named as ``Container.unit``."""
    project, is_compose, service = container.partition("/")
    return (
        f"docker compose -p {project} exec {service} {words}"
        if is_compose
        else f"docker exec {project} {words}"
    )


def manager(backend: Backend) -> str:
    """Return who starts a backend, as sentences call it."""
    return "Docker" if backend.manager == "docker" else "systemd"


def _order(backend: Backend, verb: str) -> str:
    unit = backend.unit
    if not unit:
        return ""
    if backend.manager != "docker":
        return f"systemctl {verb} {unit}"
    project, is_compose, service = unit.partition("/")
    return (
        f"docker compose -p {project} {verb} {service}" if is_compose else f"docker {verb} {unit}"
    )
