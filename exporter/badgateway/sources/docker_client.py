"""Connections to a Docker daemon through its SDK, and what their failures mean.

The SDK is imported with the first connection: a host without Docker does not pay for it.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from badgateway.sources import docker_shapes
from badgateway.sources.docker_failures import (
    CALL_SECONDS,
    ODD,
    SOCKET,
    DockerError,
    explained,
)

if TYPE_CHECKING:
    from docker import APIClient

_PIECE: Final = 64 * 1024
_ANSWER_LIMIT: Final = 16 * 1024 * 1024


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
        client = _bounded_client()(
            **settings, version="auto", timeout=int(CALL_SECONDS), user_agent="badgateway"
        )
    except (DockerException, OSError, *ODD) as error:
        raise explained(error, host) from None
    client.trust_env = False
    # a daemon that is going down serves old connections on and takes no new one
    client.headers["Connection"] = "close"
    return client


@functools.cache
def _bounded_client() -> type[APIClient]:
    """The SDK's client, which reads no more of an answer, and no longer, than is sensible."""
    import docker
    import requests

    class Client(docker.APIClient):
        def send(self, request: Any, **settings: Any) -> requests.Response:
            is_streamed, settings["stream"] = settings.get("stream", False), True
            answer = super().send(request, **settings)
            if not is_streamed or not answer.ok:
                begun, body = time.monotonic(), bytearray()
                for chunk in answer.iter_content(64 * 1024):
                    body += chunk
                    if len(body) > _ANSWER_LIMIT:
                        answer.close()
                        raise requests.ConnectionError("the answer is too large")
                    if time.monotonic() - begun > CALL_SECONDS:
                        answer.close()
                        raise requests.ReadTimeout("timed out")
                answer._content = bytes(body)
            return answer

    return Client


def inspect(client: APIClient, identifier: str) -> dict[str, Any]:
    """Return a container's description. Blocks.

    Raises:
        NoContainerError: there is none of that id.
        DockerError: the daemon cannot be reached or refuses.
    """
    from docker.errors import DockerException

    try:
        document = client.inspect_container(identifier)
        return docker_shapes.container(document)
    except (DockerException, OSError, *ODD) as error:
        raise explained(error) from None


def identifiers(client: APIClient) -> list[str]:
    """Return the ids of all containers. Blocks.

    Raises:
        DockerError: the daemon cannot be reached or refuses.
    """
    from docker.errors import DockerException

    try:
        return [str(row["Id"]) for row in client.containers(all=True)]
    except (DockerException, OSError, *ODD) as error:
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


def chunks(answer: Any, seconds: float | None = None) -> Iterator[bytes]:
    """Yield what comes, as it comes, until the daemon ends it or ``close`` does.

    Args:
        answer: as ``get`` returned it.
        seconds: how long all of it may take; None for ever.

    Raises:
        DockerError: the connection broke.
    """
    from urllib3.exceptions import HTTPError

    raw, begun = answer.raw, time.monotonic()
    pieces = (
        raw.stream(_PIECE, False) if raw.chunked else iter(lambda: raw.read1(_PIECE, False), b"")
    )
    try:
        for piece in pieces:
            yield piece
            if seconds is not None and time.monotonic() - begun > seconds:
                raise DockerError(f"the daemon has not answered for {seconds:.0f} s")
    except DockerError:
        raise
    except (HTTPError, OSError, ValueError, AttributeError) as error:
        raise DockerError(f"the connection broke: {type(error).__name__}") from None


def close(answer: Any) -> None:
    """End a streamed answer from another thread than the one that reads it."""
    from docker.types import CancellableStream

    try:
        CancellableStream(iter(()), answer).close()
    except (OSError, AttributeError, ValueError):
        pass  # ended already


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
