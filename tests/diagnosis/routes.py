"""Evidence of ways that lead to a wrong place, for tests of the rules."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from badgateway.collectors.probes import State
from badgateway.diagnosis import risks
from badgateway.diagnosis.evidence import Evidence
from badgateway.diagnosis.verdict import RiskFound
from badgateway.events import AnswerOrigin, ServerEnd, UpstreamFailure
from badgateway.topology.backends import Backend, ProxyPath
from badgateway.topology.destinations import Destination
from badgateway.topology.proxies.place import ProxyFound
from badgateway.topology.proxies.state import ProxyState
from badgateway.topology.routes import Route
from badgateway.topology.ways import Way, Ways
from tests.diagnosis.builders import BACKEND, LOOPING, NOW, healthy, probe

PLACE = "/etc/nginx/sites-enabled/api:4"
WRONG = Route("api.test", ":80", "127.0.0.1:9001", place=PLACE)
LOADED = ProxyState(ProxyFound(loaded_at=NOW - 20), running=True)


def way(state: str = "not_listening", route: Route = WRONG, **changes: Any) -> Way:
    return Way("nginx", Destination(route, state, **changes), is_missed=state != "remote")


def astray(route: Route = WRONG) -> Backend:
    return replace(BACKEND, paths=(ProxyPath("nginx", route, astray=True),))


def misled(**changes: Any) -> Evidence:
    """The application answers at its own address, and 502 comes from the proxy."""
    evidence = healthy(
        backend=astray(), probes=(probe("proxy", 3), probe("origin")),
        ways=Ways(loaded=(replace(way(), before="127.0.0.1:8001"),)),
        proxies={"nginx": LOADED},
        listens_at=("127.0.0.1:8001",),
    )  # fmt: skip
    return replace(evidence, **changes)


def failed(reason: str, detail: str = "") -> UpstreamFailure:
    return UpstreamFailure(NOW - 2, reason, 502, "api.test", None, detail)


def found(evidence: Evidence, name: str) -> RiskFound | None:
    return next((risk for risk in risks.find(evidence) if risk.risk == name), None)


def asking(host: str, failures: int, port: int = 80) -> State:
    found = probe("proxy", failures)
    target = replace(found.target, name=host, url=f"http://127.0.0.1:{port}/", host=host)
    return replace(found, target=target)


_SOCKET = replace(WRONG, upstream="unix:/run/api.sock")
_FAR = replace(WRONG, upstream="192.0.2.7:80")
EACH = (
    misled(),
    misled(ways=Ways(loaded=(way("name_unresolved", replace(WRONG, upstream="gone:80")),))),
    misled(backend=astray(_SOCKET), ways=Ways(loaded=(way("socket_missing", _SOCKET),))),
    misled(backend=astray(_SOCKET), ways=Ways(loaded=(way("socket_permission", _SOCKET),))),
    misled(
        backend=Backend("far", paths=(ProxyPath("nginx", _FAR),)), service=None, listening=None,
        ways=Ways(loaded=(way("remote", _FAR),)), listens_at=(),
        probes=(probe("origin", 3, "connect_unreachable", 0),),
    ),
    misled(
        backend=BACKEND, ways=Ways(), probes=(probe("proxy", 3, "connect_refused", 0),),
        proxies={"nginx": ProxyState(running=False)},
    ),
    misled(
        backend=BACKEND, ways=Ways(),
        own_answers=(AnswerOrigin(NOW - 5, "proxy", "api.test", "limiting requests"),),
    ),
    healthy(
        service=LOOPING, listening=True, listener="old.service", probes=(probe("edge", 3),),
        server_ends=(ServerEnd(NOW - 3, "uvicorn", "bind_failure"),), ready=0.0,
    ),
)  # fmt: skip
"""Evidence of each cause of this file."""
