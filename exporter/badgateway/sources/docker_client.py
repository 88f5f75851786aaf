"""Connections to a Docker daemon through its SDK, and what their failures mean.

The SDK is imported with the first connection: a host without Docker does not pay for it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from docker import APIClient

SOCKET: Final = "/var/run/docker.sock"
CALL_SECONDS: Final = 5.0
NEEDED: Final = "GET /version, /events, /containers/json, /containers/*/json and /containers/*/logs"
_REMEDY: Final = (
    "a read-only socket proxy that allows " + NEEDED + " is enough; the group docker is as "
    "good as root"
)
_FORBIDDEN: Final = (401, 403, 405)


class DockerError(OSError):
    """The daemon cannot be reached or does not answer as it should; the text says what helps."""


class RefusedError(DockerError):
    """A path is not allowed, as by a socket proxy."""


class AbsentError(DockerError):
    """The daemon takes no connections: it does not run, or is going down."""


class NoContainerError(DockerError):
    """There is no such container."""


def configured_host(host: str | None) -> str:
    """Return where a daemon may be: as configured, as the environment says, or its socket.

    Returns:
        ``unix:///…``, ``tcp://…``, ``https://…``, ``context`` when Docker's own settings must be
        asked, or an empty string where nothing hints at Docker.
    """
    if host:
        return host
    if given := os.environ.get("DOCKER_HOST"):
        return given
    if os.environ.get("DOCKER_CONTEXT") or _has_contexts():
        return "context"
    return f"unix://{SOCKET}" if os.path.lexists(SOCKET) else ""


def is_remote(host: str) -> bool:
    """Tell whether a daemon's containers are on another host, as far as its address tells."""
    if not host.startswith(("tcp://", "http://", "https://")):
        return False
    name = urlsplit(host).hostname or ""
    return name not in ("localhost", "::1") and not name.startswith("127.")


def connect(host: str) -> APIClient:
    """Return a connection whose API version both sides know; asks for it. Blocks.

    Raises:
        DockerError: it cannot be reached.
    """
    import docker
    from docker.errors import DockerException

    if host.startswith("ssh:"):
        raise DockerError("a daemon behind ssh is not supported: give a socket or an address")
    settings: dict[str, Any] = {"base_url": host}
    try:
        if host == "context":
            settings = _of_context()
        elif host == os.environ.get("DOCKER_HOST"):
            from docker.utils import kwargs_from_env

            settings = dict(kwargs_from_env())
        client = docker.APIClient(
            **settings, version="auto", timeout=int(CALL_SECONDS), user_agent="badgateway"
        )
    except (DockerException, OSError, ValueError) as error:
        raise explained(error, host) from None
    client.trust_env = False
    # a daemon that is going down serves old connections on and takes no new one
    client.headers["Connection"] = "close"
    return client


def inspect(client: APIClient, identifier: str) -> dict[str, Any]:
    """Return a container's description. Blocks.

    Raises:
        NoContainerError: there is none of that id.
        DockerError: the daemon cannot be reached or refuses.
    """
    from docker.errors import DockerException

    try:
        document = client.inspect_container(identifier)
    except (DockerException, OSError, ValueError) as error:
        raise explained(error) from None
    if not isinstance(document, dict):
        raise DockerError("the daemon does not speak Docker's API")
    return document


def identifiers(client: APIClient) -> list[str]:
    """Return the ids of all containers. Blocks.

    Raises:
        DockerError: the daemon cannot be reached or refuses.
    """
    from docker.errors import DockerException

    try:
        return [str(row["Id"]) for row in client.containers(all=True)]
    except (DockerException, OSError, ValueError, KeyError, TypeError) as error:
        raise explained(error) from None


def get(client: APIClient, path: str, parameters: Mapping[str, Any], endless: bool) -> Any:
    """Return the streamed answer of a request the SDK has no fitting call for. Blocks.

    Args:
        client: the connection.
        path: below the API's version.
        parameters: the query.
        endless: whether the daemon keeps the answer open: its pauses then have no bound.

    Raises:
        DockerError: the daemon cannot be reached or refuses.
    """
    import requests

    timeout = (CALL_SECONDS, None if endless else CALL_SECONDS)
    try:
        answer = client.get(
            f"{client.base_url}/v{client.api_version}{path}",
            params=parameters, stream=True, timeout=timeout,
        )  # fmt: skip
        answer.raise_for_status()
    except (requests.RequestException, OSError, ValueError) as error:
        raise explained(error) from None
    return answer


def chunks(answer: Any) -> Iterator[bytes]:
    """Yield what comes, as it comes, until the daemon ends it or ``close`` does.

    Raises:
        DockerError: the connection broke.
    """
    from urllib3.exceptions import HTTPError

    try:
        yield from answer.raw.stream(64 * 1024, decode_content=False)
    except (HTTPError, OSError, ValueError, AttributeError) as error:
        raise DockerError(f"the connection broke: {type(error).__name__}") from None


def close(answer: Any) -> None:
    """End a streamed answer from another thread than the one that reads it."""
    from docker.types import CancellableStream

    try:
        CancellableStream(iter(()), answer).close()
    except (OSError, AttributeError, ValueError):
        pass  # ended already


def explained(error: Exception, host: str = "") -> DockerError:
    """Return what a failure of the SDK means to an operator."""
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    if status == 404:
        return NoContainerError("no such container")
    if status in _FORBIDDEN:
        return RefusedError("refused")
    if status is not None:
        said = str(getattr(error, "explanation", "") or _message(response) or "")[:200]
        return DockerError(f"the daemon answered {status}: {said}".rstrip(": "))
    cause: BaseException | None = error
    for _ in range(10):
        if cause is None:
            break
        if isinstance(cause, PermissionError):
            return DockerError(f"no permission to use Docker's socket: {_REMEDY}")
        if isinstance(cause, FileNotFoundError):
            place = host.removeprefix("unix://") or "its path"
            return AbsentError(f"no socket at {place}: Docker does not run, or it is not mounted")
        if isinstance(cause, ConnectionRefusedError):
            return AbsentError("Docker does not run: the connection was refused")
        if isinstance(cause, TimeoutError | socket.timeout):
            return DockerError(f"the daemon has not answered for {CALL_SECONDS:.0f} s")
        arguments = [a for a in cause.args if isinstance(a, BaseException)]
        nested = getattr(cause, "reason", None)
        cause = (
            cause.__cause__
            or cause.__context__
            or (nested if isinstance(nested, BaseException) else None)
            or (arguments[-1] if arguments else None)
        )
    if "timed out" in str(error).lower():
        return DockerError(f"the daemon has not answered for {CALL_SECONDS:.0f} s")
    # the text of an error may hold an address with credentials
    return DockerError(f"Docker cannot be reached: {type(error).__name__}")


def _message(response: Any) -> str:
    try:
        return str(response.json().get("message", ""))
    except (ValueError, AttributeError, OSError):
        return ""


def _has_contexts() -> bool:
    try:
        return any((_settings() / "contexts" / "meta").iterdir())
    except OSError:
        return False


def _settings() -> Path:
    return Path(os.environ.get("DOCKER_CONFIG") or Path("~/.docker").expanduser())


def _of_context() -> dict[str, Any]:
    """The settings of the context that Docker's command line would use."""
    from docker.context import ContextAPI

    context = ContextAPI.get_current_context()
    host = str(getattr(context, "Host", "") or f"unix://{SOCKET}")
    if host.startswith("ssh:"):
        raise ValueError(host)
    found: dict[str, Any] = {"base_url": host}
    if getattr(context, "TLSConfig", None):
        found["tls"] = context.TLSConfig
    return found
