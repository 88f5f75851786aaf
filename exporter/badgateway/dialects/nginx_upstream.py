"""What nginx' ``$upstream_*`` variables say of a request's attempts.

Values are lists: ``a, b`` for the attempts, ``a : b`` after an internal redirect. The table is
that of nginx 1.22.1's recordings: a numeric header time means that a whole header came from the
upstream; without one nginx made the status itself, and the connect time says how far it got.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from badgateway.dialects import nginx_fields

_SEPARATOR: Final = re.compile(r", | : |,")
_NUMBER: Final = re.compile(r"^[0-9]{1,15}(?:\.[0-9]{1,9})?$")
_BUFFERS: Final = frozenset(4096 << power for power in range(6))
_NO_BODY: Final = (204, 304)
NO_HTTP: Final = 9
"""nginx' own status for an answer that was no HTTP and was passed on as it came."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that failed: why, as far as the variables tell, and where."""

    reason: str
    upstream: str | None


@dataclass(frozen=True, slots=True)
class Told:
    """What an access line says of the upstreams.

    Attributes:
        tells: whether it says what happened there.
        origin: who made a 5xx.
        attempts: those that failed.
        upstream: the address that answered, or was tried last.
        duration: seconds it took.
    """

    tells: bool = False
    origin: str | None = None
    attempts: tuple[Attempt, ...] = ()
    upstream: str | None = None
    duration: float | None = None


def told(status: int, fields: Mapping[str, str]) -> Told:
    """Return what the variables say.

    Args:
        status: what the client got.
        fields: variable → value, for those that the log's format has.
    """
    addresses = _list(fields.get("upstream_addr"))
    upstream = nginx_fields.address(addresses[-1]) if addresses else None
    times = _list(fields.get("upstream_response_time"))
    duration = number(times[-1]) if times else None
    if "upstream_status" not in fields:
        return Told(upstream=upstream, duration=duration)
    statuses = _list(fields["upstream_status"])
    if not statuses:
        return _untried(status, fields)
    timed = "upstream_header_time" in fields
    attempts = [
        found
        for index in range(len(statuses))
        if (found := _attempt(statuses, index, fields, addresses)) is not None
    ]
    failed_last = _nginx_made(statuses, len(statuses) - 1, fields)
    if status == NO_HTTP:
        attempts.append(Attempt("invalid_response", upstream))
    elif not attempts and _cut(status, fields):
        attempts.append(Attempt("body_truncated", upstream))
    origin = None
    tells = timed
    if status >= 500:
        if failed_last:
            origin = "upstream" if timed else None
        elif statuses[-1] == f"{status:03}":
            origin = "application" if timed or _has_body(fields) else None
            tells = tells or origin is not None
        elif statuses[-1] != "-":
            origin = "proxy"
        tells = tells and origin is not None
    return Told(tells, origin, tuple(attempts) if timed else (), upstream, duration)


def number(text: str) -> float | None:
    """Return a decimal number of nginx, or None."""
    return float(text) if _NUMBER.match(text) else None


def _untried(status: int, fields: Mapping[str, str]) -> Told:
    """No upstream was tried: none was asked for, or its name did not resolve."""
    if status < 500:
        return Told(tells=True)
    if status == 500:
        return Told()  # perhaps of auth_request, whose upstream no variable tells of
    host = fields.get("proxy_host")
    if status in (502, 504):
        if host is None:
            return Told()
        if host not in ("", "-"):
            return Told(True, "upstream", (Attempt("dns_failure", None),))
    return Told(True, "proxy")


def _nginx_made(statuses: list[str], index: int, fields: Mapping[str, str]) -> bool:
    """Whether nginx wrote this status because the attempt failed."""
    if statuses[index] not in ("502", "504"):
        return False
    if "upstream_header_time" in fields:
        return _item(fields, "upstream_header_time", index) in ("", "-")
    return _item(fields, "upstream_connect_time", index) == "-"


def _attempt(
    statuses: list[str], index: int, fields: Mapping[str, str], addresses: list[str]
) -> Attempt | None:
    if not _nginx_made(statuses, index, fields):
        return None
    place = addresses[index] if index < len(addresses) else ""
    upstream = nginx_fields.address(place)
    connected = number(_item(fields, "upstream_connect_time", index)) is not None
    if statuses[index] == "504":
        # without a connection it was TCP's or TLS' time that was up
        return Attempt("response_timeout" if connected else "connect_failed", upstream)
    if connected:
        return Attempt(_header_reason(_item(fields, "upstream_bytes_received", index)), upstream)
    if upstream is None and nginx_fields.group(place) is not None:
        return Attempt("no_live_upstream", nginx_fields.group(place))
    return Attempt("connect_failed", upstream)


def _header_reason(received: str) -> str:
    """Why a header was not taken, by how much of it came; cut or malformed cannot be told."""
    amount = number(received)
    if amount is None or amount == 0:
        return "upstream_closed"
    return "header_too_big" if int(amount) in _BUFFERS else "unknown"


def _cut(status: int, fields: Mapping[str, str]) -> bool:
    """Whether less of a body came than was promised, and nobody but the upstream ended it."""
    if fields.get("request_completion") != "OK" or status < 200 or status in _NO_BODY:
        return False
    method = fields.get("request_method") or fields.get("request", "").partition(" ")[0]
    if method in ("", "-", "HEAD"):
        return False
    lengths = _list(fields.get("upstream_response_length"))
    promised = _list(fields.get("upstream_http_content_length"))
    came, announced = number(lengths[-1]) if lengths else None, None
    announced = number(promised[-1]) if promised else None
    return came is not None and announced is not None and came < announced


def _has_body(fields: Mapping[str, str]) -> bool:
    lengths = _list(fields.get("upstream_response_length"))
    return bool(lengths) and (number(lengths[-1]) or 0) > 0


def _item(fields: Mapping[str, str], name: str, index: int) -> str:
    values = _list(fields.get(name))
    return values[index] if index < len(values) else ""


def _list(value: str | None) -> list[str]:
    if not value:
        return []
    return (
        [item.strip() for item in _SEPARATOR.split(value)]
        if " " in value or "," in value
        else [value]
    )
