"""The rule about a server that refuses its own command line or configuration."""

from __future__ import annotations

import re
from typing import Final

from badgateway.diagnosis.evidence import RECENT_SECONDS, Evidence
from badgateway.diagnosis.verdict import Verdict
from badgateway.diagnosis.words import clock, facts, logs
from badgateway.events import ServerEnd
from badgateway.packages.findings import Finding

_REFUSED: Final = ("option_unknown", "option_invalid", "server_config_missing",
                   "server_config_invalid", "user_missing", "directory_missing")  # fmt: skip
_OPTION: Final = re.compile(r"(?<![\w-])--?[A-Za-z][\w/-]{0,60}", re.ASCII)
_TIMES: Final = 2


def bad_option(evidence: Evidence) -> Verdict | None:
    """The server does not start because it does not take what it is told to."""
    ended = _usage_error(evidence)
    found = _finding(evidence, ended.detail if ended else "")
    if ended is None and (found is None or not _refuses(evidence)):
        return None
    backend = evidence.backend
    words = _words(ended.detail) if ended else ""
    option = _OPTION.search(words)
    subject = option[0].rpartition("/")[2] if option else backend.server
    said = []
    if ended is not None:
        said.append(f"{clock(ended.at)} {ended.server} said: {words or 'its usage'}")
    why = f"{backend.server} refuses its options{f': {words}' if words else ''}"
    if found is not None:
        subject, why = found.subject, found.message
        said.append(found.message)
    agreed = ended is not None and found is not None
    steps = (found.fix,) if found else (f"correct the options of {backend.server}",)
    return Verdict(
        "bad_option",
        0.95 if agreed else 0.85,
        subject,
        f"{backend.name} does not start: {why}",
        evidence.since,
        (*said, *facts(evidence)),
        (*steps, *logs(evidence)),
    )


def _words(detail: str) -> str:
    """What a server said up to the option it names: what follows may be a secret."""
    option = _OPTION.search(detail)
    return detail[: option.end()] if option else detail


def _usage_error(evidence: Evidence) -> ServerEnd | None:
    """What the server said when it refused; not what it said before it was started anew."""
    service = evidence.service
    oldest = evidence.now - RECENT_SECONDS
    if service is not None and service.down and service.started:
        oldest = min(oldest, service.started - 1)  # the last words of one that lies dead stay true
    elif evidence.ordered_start:
        oldest = max(oldest, evidence.ordered_start - 1)
    oldest = max(oldest, evidence.ready)
    for end in reversed(evidence.server_ends):
        if end.reason == "usage":
            return end if end.at > oldest else None
    return None


def _finding(evidence: Evidence, said: str) -> Finding | None:
    """What the disk tells of it, best about what the server named."""
    report = evidence.next_start
    found = [f for f in report.findings if f.kind in _REFUSED] if report else []
    return next((f for f in found if f.subject in said), found[0] if found else None)


def _refuses(evidence: Evidence) -> bool:
    """Whether the service ends with a usage error, or does not come up, as others tell."""
    if evidence.disk_moving:
        return False
    oldest = max(evidence.now - RECENT_SECONDS, evidence.ready)
    ends = [h.reason for h in evidence.happenings if h.what == "exit" and h.at > oldest]
    if "usage" in ends:
        return True
    service = evidence.service
    started = service is not None and service.down and service.active != "inactive"
    return started and ends.count("exit_code") >= _TIMES
