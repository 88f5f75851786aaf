"""Evidence for tests of the rules, built from what is healthy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from badgateway.collectors.probes import Result, State, Target
from badgateway.collectors.records import Happening
from badgateway.collectors.service_tracker import ServiceState
from badgateway.diagnosis.evidence import Evidence
from badgateway.events import BootFailure, UpstreamFailure, WorkerEnd
from badgateway.packages.findings import Finding, Report
from badgateway.topology.backends import Backend, ProxyPath
from badgateway.topology.launch.command import Launch
from badgateway.topology.routes import Route

NOW = 1_800_000_000.0

BACKEND = Backend(
    "api", "systemd", "api.service", listens=("127.0.0.1:8001",), project="/srv/api",
    virtualenv="/srv/api/.venv",
)  # fmt: skip

_LAUNCH = Launch(
    server="gunicorn", workers=1, worker_class="uvicorn.workers.UvicornWorker",
    timeouts=(("worker", 30.0), ("graceful", 30.0)),
)  # fmt: skip
_ROUTE = Route("*", ":80", "127.0.0.1:8001", timeouts=(("read", 180.0), ("connect", 60.0)))
SITE = replace(BACKEND, launch=_LAUNCH, paths=(ProxyPath("nginx", _ROUTE),))
_MARKS = ("conn:7", "line:10.0.0.9 GET /reports/1234/pdf?token=secret")

REPORT = Report(
    "ok",
    project="/srv/api",
    virtualenv="/srv/api/.venv",
    python="3.11.2",
    first_party=("api", "tools"),
    providers={"starlette": "starlette"},
    declared={"slowapi": ">=0.1.9", "pyyaml": ">=6", "starlette": ""},
    declared_in={"slowapi": "pyproject.toml", "pyyaml": "pyproject.toml"},
    installed={"starlette": "1.0"},
)

SLOWAPI = Finding(
    "import_missing", "fatal", "slowapi",
    "api.limits (api/limits.py:3) imports slowapi, which is not installed.",
    fix="/srv/api/.venv/bin/pip install -e /srv/api", module="slowapi", declared=">=0.1.9",
    declared_in="pyproject.toml", importer="api.limits:3",
)  # fmt: skip

WITHOUT_SLOWAPI = Report(
    **{name: getattr(REPORT, name) for name in REPORT.__struct_fields__}
    | {"verdict": "will_fail", "findings": (SLOWAPI,)}
)

UP = ServiceState("active", "running", "success", main_pid=10, invocation="aa", started=NOW - 3600)
LOOPING = replace(
    UP, active="activating", sub="auto-restart", result="exit-code", main_pid=0, restarts=4,
    started=NOW - 3, exited=NOW - 2, exit_status=1,
)  # fmt: skip
FAILED = replace(LOOPING, active="failed", sub="failed")
STOPPED = replace(
    UP, active="inactive", sub="dead", main_pid=0, exited=NOW - 60, started=NOW - 3600
)


def probe(vantage: str, failures: int = 0, reason: str = "status", status: int = 502) -> State:
    target = Target("api", vantage, vantage, "http://127.0.0.1/")
    result = Result(NOW - 1, status if failures else 200, reason if failures else "", {})
    return State(target, result, failures, NOW - 1 - 5 * max(failures - 1, 0))


def boot_failure(**changes: Any) -> BootFailure:
    failure = BootFailure(
        NOW - 2, "uvicorn", "server", "ModuleNotFoundError", "No module named 'slowapi'",
        "slowapi", 10, "aa",
    )  # fmt: skip
    return replace(failure, **changes)


def restarts(number: int, every: float = 5.0) -> tuple[Happening, ...]:
    happenings = []
    for index in range(number):
        at = NOW - every * (number - index)
        happenings += [
            Happening(at - 0.1, "exit", "exit_code"),
            Happening(at, "start", "exit_code", automatic=True),
        ]
    return tuple(happenings)


def healthy(**changes: Any) -> Evidence:
    evidence = Evidence(
        BACKEND, NOW, (probe("edge"), probe("origin")), UP, listening=True, next_start=REPORT,
        ready=NOW - 3599,
    )  # fmt: skip
    return replace(evidence, **changes)


def broken(**changes: Any) -> Evidence:
    """The incident: a crash loop since a few seconds, nothing listens, 502 at the edge."""
    evidence = healthy(
        probes=(probe("edge", 3), probe("origin", 3, "connect_refused", 0)),
        service=LOOPING,
        listening=False,
        boot_failures=(boot_failure(at=NOW - 7), boot_failure()),
        happenings=restarts(4),
        next_start=WITHOUT_SLOWAPI,
    )
    return replace(evidence, **changes)


def failure(at: float, reason: str = "reset", marks: tuple[str, ...] = _MARKS) -> UpstreamFailure:
    return UpstreamFailure(NOW + at, reason, 502, "*", "127.0.0.1:8001", marks=marks)


def worker_end(at: float, reason: str = "timeout") -> WorkerEnd:
    return WorkerEnd(NOW + at, "gunicorn", reason, 7)


def hurt(reason: str = "timeout", seen: str = "reset", **changes: Any) -> Evidence:
    """Workers that end while they answer, though it answers again at once."""
    evidence = healthy(
        backend=SITE,
        worker_ends=(worker_end(-200, reason), worker_end(-60, reason)),
        failures=(failure(-199, seen), failure(-60.5, seen)),
    )
    return replace(evidence, **changes)
