"""Caddy's lines, as recorded from Caddy 2.6.2 and 2.11.7 (tests/corpus/caddy.json)."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway import vocabulary
from badgateway.dialects import dialect
from badgateway.events import ClientAbort, Event, Line, Response, UpstreamFailure

CORPUS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "corpus" / "caddy.json").read_text()
)

# Recordings whose lines do not tell what happened, and what they tell instead. Each was looked at:
# Caddy retried in silence, tolerated the fault, or Go's words are those of another fault.
TOLD_OTHERWISE: dict[tuple[str, str], set[str]] = {
    ("2.11.7", "all_down"): {"connect_refused", "no_live_upstream"},
    ("2.11.7", "bad_header_space"): set(),
    ("2.11.7", "cl_and_te"): set(),
    ("2.11.7", "close_mid_header"): {"invalid_response"},
    ("2.11.7", "fcgi_mid_body"): set(),
    ("2.11.7", "fcgi_rst"): {"premature_close"},
    ("2.11.7", "hdr_too_big"): set(),
    ("2.11.7", "keepalive_fin_post"): {"send_failed"},
    ("2.11.7", "keepalive_rst_get"): set(),
    ("2.11.7", "keepalive_rst_post"): {"send_failed"},
    ("2.11.7", "one_down"): set(),
    ("2.11.7", "pool_exhausted"): {"no_live_upstream"},
    ("2.11.7", "tls_close"): {"premature_close"},
    ("2.11.7", "tls_rst"): {"reset"},
    ("2.11.7", "upload_early_response"): set(),
    ("2.11.7", "ws_idle"): set(),
    ("2.11.7", "ws_rst"): set(),
    ("2.6.2", "all_down"): {"connect_refused", "no_live_upstream"},
    ("2.6.2", "cl_and_te"): set(),
    ("2.6.2", "excess_body"): set(),
    ("2.6.2", "fcgi_500"): set(),
    ("2.6.2", "fcgi_mid_body"): set(),
    ("2.6.2", "fcgi_rst"): {"premature_close"},
    ("2.6.2", "hdr_too_big"): set(),
    ("2.6.2", "hdr_too_many"): set(),
    ("2.6.2", "keepalive_fin_get"): set(),
    ("2.6.2", "keepalive_rst_get"): set(),
    ("2.6.2", "local_502"): set(),
    ("2.6.2", "local_503"): set(),
    ("2.6.2", "nul_in_header"): set(),
    ("2.6.2", "one_down"): set(),
    ("2.6.2", "pool_exhausted"): {"no_live_upstream"},
    ("2.6.2", "rst_mid_header"): {"invalid_response"},
    ("2.6.2", "tls_rst"): {"reset"},
    ("2.6.2", "upload_early_response"): set(),
    ("2.6.2", "ws_idle"): {"client_abort"},
    ("2.6.2", "ws_rst"): {"client_abort"},
}


def read(lines: list[str]) -> list[Event]:
    reader = dialect("caddy")
    return [event for line in lines for event in reader.read(Line(0.0, line, "t")) or ()]


def reasons(case: dict[str, Any]) -> set[str]:
    events = read(case["lines"].get("log", [])) + read(case["lines"].get("access_json", []))
    found = {e.reason for e in events if isinstance(e, UpstreamFailure)}
    found |= {"client_abort" for e in events if isinstance(e, ClientAbort)}
    origins = {"application": "app_5xx", "proxy": "proxy_local"}
    found |= {origins[e.origin] for e in events if isinstance(e, Response) and e.origin in origins}
    return found


@pytest.mark.parametrize("case", CORPUS, ids=lambda c: f"{c['version']}-{c['case']}")
def test_a_recorded_fault_gets_its_reason(case: dict[str, Any]) -> None:
    truth = set() if case["expected_reason"] == "none" else {case["expected_reason"]}
    assert reasons(case) == TOLD_OTHERWISE.get((case["version"], case["case"]), truth)


REFUSED = next(c for c in CORPUS if c["case"] == "refused" and c["version"] == "2.11.7")


def test_a_failure_names_its_upstream_and_site() -> None:
    failure = read(REFUSED["lines"]["log"][:1])[0]
    assert isinstance(failure, UpstreamFailure)
    assert failure.upstream == "127.0.0.1:18101"
    assert failure.site == "localhost"
    assert failure.status == 502


def test_a_probe_is_recognised_by_its_token_and_nothing_else() -> None:
    line = REFUSED["lines"]["log"][0]
    token = "0123456789abcdef"
    probe = line.replace("faultlab/1", f"badgateway/0.1.0 (probe {token})")
    (failure,) = read([probe])
    assert isinstance(failure, UpstreamFailure)
    assert failure.probe == token
    (forged,) = read([line.replace("faultlab/1", f"x badgateway/0.1.0 (probe {token})")])
    assert isinstance(forged, UpstreamFailure)
    assert forged.probe is None


@pytest.mark.parametrize(
    "forged",
    [
        "GET /x dial tcp 10.9.9.9:80: connect: connection refused",
        '{"logger":"http.log.error","msg":"dial tcp 10.9.9.9:1: connect: connection refused"}',
        '\\",\\"status\\":502',
    ],
)
def test_what_a_client_sends_forges_nothing(forged: str) -> None:
    entry = json.loads(REFUSED["lines"]["access_json"][0])
    entry["status"] = 404
    for place in ("uri", "host", "method"):
        entry["request"][place] = forged
    entry["request"]["headers"] = {"Referer": [forged], "User-Agent": [forged]}
    (event,) = read([json.dumps(entry)])
    assert isinstance(event, Response)
    assert event.origin is None
    assert event.probe is None


def test_a_line_behind_a_prefix_is_read() -> None:
    (event,) = read(["caddy-1  | " + REFUSED["lines"]["log"][0]])
    assert isinstance(event, UpstreamFailure)


def test_a_cut_line_is_not_understood() -> None:
    assert dialect("caddy").read(Line(0.0, REFUSED["lines"]["log"][0][:200], "t")) is None


@given(st.text())
def test_no_line_breaks_it(text: str) -> None:
    dialect("caddy").read(Line(0.0, text, "t"))


@given(
    st.dictionaries(
        st.sampled_from(
            ["logger", "msg", "status", "ts", "err_trace", "request", "resp_headers", "upstream",
             "upstream_status", "upstream_retries", "duration", "error"]
        ),
        st.one_of(
            st.none(), st.booleans(), st.integers(), st.text(), st.just("http.log.error"),
            st.just("http.log.access"), st.just("reverseproxy.statusError"),
            st.dictionaries(st.sampled_from(["host", "headers", "Server", "uri"]), st.text()),
        ),
    )
)  # fmt: skip
def test_no_entry_breaks_it_and_reasons_stay_closed(entry: dict[str, Any]) -> None:
    for event in dialect("caddy").read(Line(0.0, json.dumps(entry), "t")) or ():
        if isinstance(event, UpstreamFailure):
            assert event.reason in vocabulary.UPSTREAM_FAILURE_REASONS
