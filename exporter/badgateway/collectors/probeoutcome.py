"""What a probe's request came to: why it failed, how long its phases took, what certificate."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from typing import Any, Final

import httpx

GATEWAY_ERRORS: Final = frozenset((502, 503, 504))
_BODY_LIMIT: Final = 64 * 1024


def failure_reason(error: Exception) -> str:
    """Return the reason (``vocabulary.PROBE_FAILURE_REASONS``) for an exception of httpx."""
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and len(chain) < 10:
        chain.append(cause)
        cause = cause.__cause__ or cause.__context__
    text = " ".join(str(link) for link in chain)
    if any(isinstance(link, ssl.SSLCertVerificationError) for link in chain):
        return "tls_certificate"
    if any(isinstance(link, ssl.SSLError) for link in chain):
        return "tls_handshake"
    if any(isinstance(link, ConnectionRefusedError) for link in chain):
        return "connect_refused"
    if "Name or service not known" in text or "name resolution" in text or "getaddrinfo" in text:
        return "dns_failure"
    if isinstance(error, httpx.ConnectTimeout):
        return "connect_timeout"
    if isinstance(error, httpx.TimeoutException):
        return "response_timeout"
    if "unreachable" in text or "No route to host" in text:
        return "connect_unreachable"
    if isinstance(error, httpx.ConnectError):
        refused = "All connection attempts failed" in text
        return "connect_refused" if refused else "connect_failed"
    if isinstance(error, OverflowError | httpx.InvalidURL | httpx.UnsupportedProtocol):
        return "connect_failed"  # there is no such port, or no such address
    if isinstance(error, httpx.RemoteProtocolError):
        return "reset" if "disconnected" in text else "invalid_response"
    if isinstance(error, httpx.ReadError | httpx.WriteError | httpx.CloseError):
        return "reset"
    return "unknown"


async def judge(
    expected: frozenset[int],
    text: str | None,
    response: httpx.Response,
    tolerated: frozenset[int] = frozenset(),
) -> tuple[str, str]:
    """Return the failure reason and a detail, or two empty strings.

    Args:
        expected: statuses that are right; empty: everything but 502, 503 and 504.
        text: what the body must hold.
        response: whose body is still to be read.
        tolerated: of those three, what is right all the same.
    """
    status = response.status_code
    if expected:
        if status not in expected:
            wanted = ", ".join(map(str, sorted(expected)))
            return "status", f"{status} instead of {wanted}"
    elif status in GATEWAY_ERRORS - tolerated:
        return "status", str(status)
    if text is not None:
        read = b""
        async for chunk in response.aiter_bytes():
            read += chunk
            if len(read) >= _BODY_LIMIT:
                break
        if text.encode() not in read[:_BODY_LIMIT]:
            return "body", "the expected text is not in the answer"
    return "", ""


class Watch:
    """Takes the time of a request's phases from httpcore's trace events."""

    def __init__(self, connected: Callable[[int], None] = lambda _: None) -> None:
        """``connected`` is called with the local port of each connection."""
        self._tell = connected
        self._begun = time.monotonic()
        self._connected: float | None = None
        self._header: float | None = None

    async def trace(self, event: str, info: dict[str, Any]) -> None:
        """Called by httpcore."""
        if event.endswith((".connect_tcp.complete", ".connect_unix_socket.complete",
                           ".start_tls.complete")):  # fmt: skip
            self._connected = time.monotonic()
            local = info["return_value"].get_extra_info("client_addr")
            if isinstance(local, tuple):  # a unix socket has no port
                self._tell(int(local[1]))
        elif event.endswith(".receive_response_headers.complete"):
            self._header = time.monotonic()

    @property
    def connected(self) -> bool:
        """Whether the connection was made."""
        return self._connected is not None

    def durations(self) -> dict[str, float]:
        """Phase → seconds, for the phases that were reached."""
        found = {"total": time.monotonic() - self._begun}
        if self._connected is not None:
            found["connect"] = self._connected - self._begun
            if self._header is not None:
                found["response"] = self._header - self._connected
        return found


def certificate_expiry(response: httpx.Response) -> float | None:
    """Return when the certificate seen expires, seconds since 1970; None where none was seen."""
    stream = response.extensions.get("network_stream")
    secure = stream.get_extra_info("ssl_object") if stream is not None else None
    certificate = secure.getpeercert() if secure is not None else None
    if not certificate or "notAfter" not in certificate:
        return None
    return float(ssl.cert_time_to_seconds(str(certificate["notAfter"])))
