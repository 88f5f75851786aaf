"""What failures of the Docker SDK, and of what answers it, mean to an operator."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any, Final

import msgspec

SOCKET: Final = "/var/run/docker.sock"
CALL_SECONDS: Final = 5.0
NEEDED: Final = "GET /version, /events, /containers/json, /containers/*/json and /containers/*/logs"
_REMEDY: Final = (
    "a read-only socket proxy that allows " + NEEDED + " is enough; the group docker is as "
    "good as root"
)
_FORBIDDEN: Final = (401, 403, 405)
ODD: Final = (ValueError, TypeError, LookupError, AttributeError, RecursionError)
STRANGE: Final = "the daemon does not speak Docker's API"


class DockerError(OSError):
    """The daemon cannot be reached or does not answer as it should; the text says what helps."""


class RefusedError(DockerError):
    """A path is not allowed, as by a socket proxy."""


class AbsentError(DockerError):
    """The daemon takes no connections: it does not run, or is going down."""


class NoContainerError(DockerError):
    """There is no such container."""


def explained(error: Exception, host: str = "") -> DockerError:
    """Return what a failure of the SDK means to an operator."""
    response = next(
        (r for e in _chain(error) if (r := getattr(e, "response", None)) is not None), None
    )
    status = getattr(response, "status_code", None)
    if status == 404:
        return NoContainerError("no such container")
    if status in _FORBIDDEN:
        return RefusedError("refused")
    if status is not None:
        said = str(getattr(error, "explanation", "") or _message(response) or "")[:200]
        return DockerError(f"the daemon answered {status}: {said}".rstrip(": "))
    for cause in _chain(error):
        if isinstance(cause, PermissionError):
            return DockerError(f"no permission to use Docker's socket: {_REMEDY}")
        if isinstance(cause, FileNotFoundError):
            place = host.removeprefix("unix://") or "its path"
            return AbsentError(f"no socket at {place}: Docker does not run, or it is not mounted")
        if isinstance(cause, ConnectionRefusedError):
            return AbsentError("Docker does not run: the connection was refused")
        if isinstance(cause, TimeoutError | socket.timeout):
            return DockerError(f"the daemon has not answered for {CALL_SECONDS:.0f} s")
        if type(cause) in ODD or isinstance(cause, json.JSONDecodeError | msgspec.ValidationError):
            return DockerError(STRANGE)
    if "timed out" in str(error).lower():
        return DockerError(f"the daemon has not answered for {CALL_SECONDS:.0f} s")
    # the text of an error may hold an address with credentials
    return DockerError(f"Docker cannot be reached: {type(error).__name__}")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those that led to it."""
    cause: BaseException | None = error
    for _ in range(10):
        if cause is None:
            return
        yield cause
        arguments = [a for a in cause.args if isinstance(a, BaseException)]
        nested = getattr(cause, "reason", None)
        cause = (
            cause.__cause__
            or cause.__context__
            or (nested if isinstance(nested, BaseException) else None)
            or (arguments[-1] if arguments else None)
        )


def _message(response: Any) -> str:
    try:
        return str(response.json().get("message", ""))
    except (ValueError, AttributeError, OSError):
        return ""
