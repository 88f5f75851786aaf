"""Rules about workers that end while they answer: clients of theirs get 502."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from badgateway import routeshape
from badgateway.diagnosis.evidence import Evidence
from badgateway.diagnosis.verdict import Verdict
from badgateway.diagnosis.words import clock, facts, logs, span
from badgateway.events import UpstreamFailure, WorkerEnd

_ASYNCHRONOUS: Final = ("uvicorn", "asgi", "gevent", "eventlet", "tornado", "gaiohttp")
_CRASHES: Final = {
    "sigkill": "was killed by SIGKILL",
    "segfault": "died of a memory fault",
    "signal": "died of a signal",
    "exit_code": "ended by itself with an exit code",
    "unknown": "ended without a word",
}


def worker_timeout(evidence: Evidence) -> Verdict | None:
    """The server killed a worker that did not answer in time."""
    ends = _hurting(evidence, ("timeout",))
    if not ends:
        return None
    backend, launch = evidence.backend, evidence.backend.launch
    limit = dict(launch.timeouts).get("worker") if launch else None
    after = f"its timeout of {span(limit)}" if limit else "its timeout"
    times = f"{len(ends)} times since {clock(ends[0].at)}" if len(ends) > 1 else (
        f"at {clock(ends[0].at)}"
    )  # fmt: skip
    summary = f"{backend.name}: {backend.server} killed a worker after {after}, {times}."
    waits = [s for path in backend.paths for s in (dict(path.route.timeouts).get("read"),) if s]
    said = []
    if waits and limit:
        longer = min(waits) > limit
        proxy = backend.paths[0].proxy
        compared = "would have waited longer" if longer else "waits no longer than that"
        summary += f" {proxy} {compared}: {span(min(waits))}."
        said.append(
            f"Timeouts: {backend.server} {span(limit)} for a worker, {proxy} {span(min(waits))} "
            "for an answer."
        )
    if slow := _route(evidence, ends):
        said.append(f"The requests that failed with it: {slow}.")
    if launch is not None and any(word in launch.worker_class for word in _ASYNCHRONOUS):
        said.append(
            f"Workers of class {launch.worker_class} are killed only while something blocks their "
            "event loop; a request that merely waits is not it."
        )
    raised = "Raise --timeout above what the slowest request takes" if limit else (
        "Raise its worker timeout above what the slowest request takes"
    )  # fmt: skip
    return Verdict(
        "worker_timeout",
        0.95,
        f"timeout {span(limit)}" if limit else "timeout",
        summary,
        _since(evidence, ends),
        (*said, *facts(evidence)),
        (f"{raised}, or take the slow work out of the request", *logs(evidence)),
    )


def worker_oom(evidence: Evidence) -> Verdict | None:
    """The kernel killed a worker for lack of memory."""
    ends = _hurting(evidence, ("oom",))
    if not ends:
        return None
    name = evidence.backend.name
    mebibytes = evidence.memory_limit / 2**20
    limit = f" (its limit: {mebibytes:.0f} MiB)" if mebibytes else ""
    return Verdict(
        "worker_oom",
        0.95,
        "memory",
        f"{name}: the kernel killed {_workers(ends)} for lack of memory{limit}, last at "
        f"{clock(ends[-1].at)}.",
        _since(evidence, ends),
        (*_with_route(evidence, ends), *facts(evidence)),
        ("Give it more memory, run fewer workers, or recycle them (--max-requests)",
         *logs(evidence)),
    )  # fmt: skip


def worker_crash(evidence: Evidence) -> Verdict | None:
    """A worker died while it answered."""
    ends = _hurting(evidence, tuple(_CRASHES))
    if not ends:
        return None
    reason = Counter(end.reason for end in ends).most_common(1)[0][0]
    return Verdict(
        "worker_crash",
        0.6 if reason == "unknown" else 0.85,
        reason.replace("_", " "),
        f"{evidence.backend.name}: {_workers(ends)} {_CRASHES[reason]} while answering, last at "
        f"{clock(ends[-1].at)}.",
        _since(evidence, ends),
        (*_with_route(evidence, ends), *facts(evidence)),
        logs(evidence),
    )


def upstream_slow(evidence: Evidence) -> Verdict | None:
    """It runs, takes connections and does not answer in time."""
    failing, service = evidence.failing_probes, evidence.service
    if not failing or evidence.listening is False or evidence.service_down:
        return None
    if any(probe.last.reason != "response_timeout" and probe.last.status != 504
           for probe in failing):  # fmt: skip
        return None
    if service is None and not evidence.listening:
        return None
    return Verdict(
        "upstream_slow",
        0.7,
        evidence.backend.unit,
        f"{evidence.backend.name} takes connections and does not answer in time.",
        evidence.since,
        facts(evidence),
        logs(evidence),
    )


def _hurting(evidence: Evidence, reasons: Sequence[str]) -> tuple[WorkerEnd, ...]:
    """The ends that clients felt, if the last one that they felt was of these reasons."""
    felt = evidence.felt_ends
    if not felt or felt[-1].reason not in reasons:
        return ()
    return tuple(end for end in felt if end.reason in reasons)


def _since(evidence: Evidence, ends: Sequence[WorkerEnd]) -> float:
    return min([ends[0].at, *(probe.since for probe in evidence.failing_probes)])


def _workers(ends: Sequence[WorkerEnd]) -> str:
    return "a worker" if len(ends) == 1 else f"{len(ends)} workers"


def _with_route(evidence: Evidence, ends: Sequence[WorkerEnd]) -> tuple[str, ...]:
    route = _route(evidence, ends)
    return (f"The requests that failed with it: {route}.",) if route else ()


def _route(evidence: Evidence, ends: Sequence[WorkerEnd]) -> str:
    """The route that most of the requests were for that failed with these ends."""
    failed: Counter[str] = Counter()
    for end in ends:
        failed.update(
            filter(None, (routeshape.route(f.marks) for f in _failed_with(evidence, end)))
        )
    return failed.most_common(1)[0][0] if failed else ""


def _failed_with(evidence: Evidence, end: WorkerEnd) -> list[UpstreamFailure]:
    return [failure for failure in evidence.broken_answers if evidence.together(end, failure)]
