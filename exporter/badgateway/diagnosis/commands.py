"""The commands that an operator runs next, for whatever manages a backend."""

from __future__ import annotations

from badgateway.topology.backends import Backend


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
