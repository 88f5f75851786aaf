"""Recordings of real faults: alone, behind prefixes, and as one story."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest

from badgateway import vocabulary
from tests.explanation.told import Found, brief, told, without_place

CORPUS: Final = Path(__file__).parents[1] / "corpus"


def recordings(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((CORPUS / f"{name}.json").read_text())
    return found


CADDY: Final = recordings("caddy")
NGINX: Final = recordings("nginx")
HAPROXY: Final = recordings("haproxy")
SPECIAL: Final = recordings("special")
SERVERS: Final = recordings("servers")

COARSE: Final = {
    "reset": {"upstream_closed", "connect_failed", "premature_close", "send_failed"},
    "premature_close": {"upstream_closed", "invalid_response", "send_failed"},
    "tls_handshake": {"connect_failed", "connect_timeout", "reset", "premature_close"},
    "tls_certificate": {"connect_failed"},
    "connect_refused": {"connect_failed"},
    "connect_unreachable": {"connect_failed"},
    "socket_missing": {"connect_failed"},
    "socket_denied": {"connect_failed"},
    "backlog_full": {"connect_failed", "response_timeout"},
    "proxy_resources": {"connect_failed", "response_timeout"},
    "dns_failure": {"no_live_upstream"},
    "saturated": {"no_live_upstream"},
    "no_live_upstream": {"connect_refused", "connect_failed"},
    "header_too_big": {"invalid_response"},
    "app_5xx": {"unknown"},
    "proxy_local": {"unknown"},
    "body_truncated": {"client_abort"},
    "body_timeout": {"client_abort"},
}
"""What is told instead where the log says no more, or where another failure came first."""
COARSEST: Final = {"unknown", "connect_failed", "upstream_closed"}
"""What an access log alone may tell of any failure."""
IN_OTHER_WORDS: Final = {
    "rst_mid_header": {"invalid_response", "upstream_closed"},  # Go's text for a cut header
    "close_mid_header": {"invalid_response", "upstream_closed"},
    "upload_rst": {"reset", "upstream_closed"},  # nginx notices at the answer
    "upload_stall": {"response_timeout"},  # the access log's times say no more
    "dup_content_length": {"body_truncated"},  # nginx believes the first, and misses the rest
    "client_abort_wait": {"response_timeout"},  # HAProxy without abortonclose
    "fcgi_http": {"upstream_closed"},
    "fcgi_empty": {"invalid_response", "upstream_closed"},
    "fcgi_mid_header": {"invalid_response", "upstream_closed"},
    "auth_down": {"proxy_local"},  # nginx answers 500 because its subrequest failed
    "caddy_handle_errors": {"unknown"},  # the reason is in the other log only
    "gunicorn_worker_timeout": {"unknown"},  # gunicorn answered 500 itself
    "haproxy_retry_on": {"upstream_closed", "unknown"},  # a number of retries, and no reasons
    "nginx_recommended_format": {
        "invalid_response", "connect_refused", "premature_close", "app_5xx", *COARSEST
    },  # several requests
}  # fmt: skip
"""Recordings whose lines tell of something else, or of more."""

PROXIES: Final = [*CADDY, *NGINX, *HAPROXY, *SPECIAL]


def named(case: dict[str, Any]) -> str:
    return f"{case['proxy']}-{case['version']}-{case['case']}"


def kinds(found: list[Found]) -> set[str]:
    return {r.get("reason") or r["type"] for r in found}


def text(lines: list[str]) -> str:
    return "\n".join(lines)


def allowed(case: dict[str, Any]) -> set[str]:
    truth = case["expected_reason"]
    return {truth} | COARSE.get(truth, set()) | IN_OTHER_WORDS.get(case["case"], set())


@pytest.mark.parametrize("case", PROXIES, ids=named)
def test_a_recorded_fault_gets_its_reason_and_no_wrong_one(case: dict[str, Any]) -> None:
    for source, lines in case["lines"].items():
        coarsest = COARSEST if "access" in source else set()
        assert kinds(told(text(lines))) <= allowed(case) | coarsest, source
    assert kinds(told(*map(text, case["lines"].values()))) <= allowed(case)


def test_nearly_every_fault_that_nginx_or_caddy_logs_is_told_exactly() -> None:
    seen = exact = 0
    for case in (*NGINX, *CADDY):
        error = case["lines"].get("error") or case["lines"].get("log")
        if error:
            seen += 1
            exact += case["expected_reason"] in kinds(told(text(error)))
    assert seen > 190
    assert exact / seen > 0.91


ERROR_LOGS: Final = ("error", "log", "nginx_error")


@pytest.mark.parametrize("case", [*CADDY, *NGINX, *SPECIAL], ids=named)
def test_access_logs_beside_an_error_log_add_no_failure(case: dict[str, Any]) -> None:
    error = next((case["lines"][name] for name in ERROR_LOGS if case["lines"].get(name)), None)
    if error is None or case["expected_reason"] in ("app_5xx", "proxy_local", "client_abort"):
        return
    alone = told(text(error))
    both = told(*map(text, case["lines"].values()))
    told_by_access = {"app_5xx", "proxy_local", "unknown", "client_abort"}
    more = Counter(brief(both)) - Counter(brief(alone))
    assert {reason or kind for kind, reason in more} <= told_by_access
    assert not Counter(brief(alone)) - Counter(brief(both))
    statuses = {str(status) for status in case["client_status"]} | {"None", "9", "400", "499"}
    assert {str(r["status"]) for r in both if r["type"] == "upstream_failure"} <= statuses


STACKS: Final = (
    "web-1  | ", "> ", "Nov 21 08:40:00 vm dockerd[7]: web_1  | ",
    "[pod/web/app] 2026-11-21T08:40:00Z ", "2026-11-21T08:40:00.1Z stderr F ",
)  # fmt: skip


@pytest.mark.parametrize("case", SERVERS[::3], ids=lambda c: f"{c['server']}-{c['case']}")
def test_prefixes_around_a_servers_lines_change_nothing(case: dict[str, Any]) -> None:
    bare = without_place(told(text(case["lines"])))
    for prefix in STACKS:
        around = told(text([prefix + line for line in case["lines"]]))
        assert without_place(around) == bare, prefix


@pytest.mark.parametrize("case", PROXIES[::4], ids=named)
def test_prefixes_around_a_proxys_lines_change_nothing(case: dict[str, Any]) -> None:
    bare = without_place(told(*map(text, case["lines"].values())))
    for prefix in STACKS:
        around = [text([prefix + line for line in lines]) for lines in case["lines"].values()]
        assert without_place(told(*around)) == bare, prefix


@pytest.mark.parametrize("case", SERVERS, ids=lambda c: f"{c['server']}-{c['case']}")
def test_a_server_that_did_not_start_is_told_with_its_reason(case: dict[str, Any]) -> None:
    ends = {r["reason"] for r in told(text(case["lines"])) if r["type"] == "server_end"}
    assert ends <= set(vocabulary.SERVER_END_REASONS)
    if case["server_event"] in ("usage", "bind_failure"):
        assert ends == {case["server_event"]}
    if ends - {"stop"}:
        assert ends == {case["server_event"]}
