"""Rules about the address at which an application should listen."""

from __future__ import annotations

from typing import Final

from badgateway.diagnosis import directions
from badgateway.diagnosis.evidence import RECENT_SECONDS, Evidence
from badgateway.diagnosis.verdict import Verdict
from badgateway.diagnosis.words import clock, facts, logs, site_of
from badgateway.events import ServerEnd

_PATH: Final = "unix:"


def port_conflict(evidence: Evidence) -> Verdict | None:
    """It does not start because its address is taken."""
    service = evidence.service
    ended = _bind_failure(evidence)
    if ended is None or evidence.answered or (service is not None and not service.down
                                              and not evidence.stranger):  # fmt: skip
        return None
    address = next(iter(evidence.backend.addresses), "")
    other = evidence.stranger
    holder = f"{other} listens there" if other else "somebody else listens there, or may"
    port = address.rpartition(":")[2]
    return Verdict(
        "port_conflict",
        0.95 if other else 0.8,
        address or evidence.backend.unit,
        f"{evidence.backend.name} cannot listen at {address or 'its address'}: {holder}.",
        evidence.since,
        (f"{clock(ended.at)} {ended.server} said: {ended.detail or 'it could not listen'}",
         *facts(evidence)),
        ((f"ss -ltnp 'sport = :{port}'",) if port.isdigit() else ()) + logs(evidence),
    )  # fmt: skip


def socket_missing(evidence: Evidence) -> Verdict | None:
    """The unix socket that a proxy connects to does not exist."""
    return _socket(
        evidence, "socket_missing", "socket_missing", "which does not exist",
        "see where it listens: ss -lxp",
    )  # fmt: skip


def socket_permission(evidence: Evidence) -> Verdict | None:
    """The proxy may not open the application's unix socket."""
    return _socket(
        evidence, "socket_permission", "socket_denied", "which it may not open",
        "namei -l {path}",
    )  # fmt: skip


def _socket(evidence: Evidence, cause: str, reason: str, what: str, step: str) -> Verdict | None:
    seen = [way for way in directions.broken(evidence) if way.destination.state == cause]
    told = directions.latest(evidence, reason)
    if not (seen or told) or not (directions.outside(evidence) or told):
        return None
    way = seen[0] if seen else next(iter(evidence.ways.loaded), None)
    upstream = way.route.upstream if way is not None else told[-1].upstream or ""
    path = upstream.removeprefix(_PATH)
    proxy = way.proxy if way is not None else "the proxy"
    listens = f" {evidence.backend.name} listens at {', '.join(evidence.listens_at)}." if (
        evidence.listens_at and upstream not in evidence.listens_at) else ""  # fmt: skip
    return Verdict(
        cause,
        0.95 if seen and told else 0.85,
        path,
        f"{proxy} sends {site_of(way)} to the socket {path}, {what}.{listens}",
        evidence.since,
        (*(f"{clock(f.at)} {proxy} said: {f.detail}" for f in told[-1:] if f.detail),
         *facts(evidence)),
        (step.format(path=path), *logs(evidence)),
    )  # fmt: skip


def _bind_failure(evidence: Evidence) -> ServerEnd | None:
    """The last end, if the server then could not listen and has not served since."""
    oldest = max(evidence.now - RECENT_SECONDS, evidence.ready)
    service = evidence.service
    if service is not None and service.down and service.started:
        oldest = max(min(oldest, service.started - 1), evidence.ready)
    ends = [end for end in evidence.server_ends if end.at > oldest]
    return ends[-1] if ends and ends[-1].reason == "bind_failure" else None
