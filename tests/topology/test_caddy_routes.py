"""Sites and upstreams in Caddy's JSON, and backends found behind them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway.topology.backends import Backend, PathMap, Place, same_address
from badgateway.topology.caddy.logs import logs
from badgateway.topology.caddy.routes import address, routes
from badgateway.topology.joining import join
from badgateway.topology.routes import Route
from tests.lab.require import require

CADDYFILE = """\
{
	admin off
	log {
		output file /var/log/caddy/caddy.json
	}
}
http://one.test {
	handle_path /api/* {
		reverse_proxy 127.0.0.1:8001
	}
	reverse_proxy unix//run/two.sock
}
*.wild.test:8443 {
	tls internal
	reverse_proxy https://10.0.0.9:9443 {
		transport http {
			tls_insecure_skip_verify
		}
	}
}
:8080 {
	reverse_proxy localhost:8003 localhost:8004
}
"""


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The configuration as the real Caddy translates it."""
    file = tmp_path_factory.mktemp("caddy") / "Caddyfile"
    file.write_text(CADDYFILE)
    adapted = subprocess.run(
        [require("caddy"), "adapt", "--config", file], capture_output=True, check=True
    )
    found: dict[str, Any] = json.loads(adapted.stdout)
    return found


def test_every_route_of_a_real_configuration_is_found(document: dict[str, Any]) -> None:
    found = {(r.site, r.upstream, r.tls, r.upstream_tls) for r in routes(document)}
    assert found == {
        ("one.test", "127.0.0.1:8001", False, False),
        ("one.test", "unix:/run/two.sock", False, False),
        ("*.wild.test", "10.0.0.9:9443", True, True),
        ("*", "localhost:8003", False, False),
        ("*", "localhost:8004", False, False),
    }
    assert [log.path for log in logs(document)] == ["/var/log/caddy/caddy.json"]


@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.text()),
        lambda inner: st.one_of(
            st.lists(inner),
            st.dictionaries(
                st.sampled_from(
                    ["apps", "http", "servers", "routes", "handle", "handler", "upstreams", "dial",
                     "match", "host", "listen"]
                ),
                inner,
            ),
        ),
    )
)  # fmt: skip
def test_no_document_breaks_it(document: object) -> None:
    if isinstance(document, dict):
        routes(document)
        logs(document)


def test_a_configuration_that_contains_itself_ends() -> None:
    route: dict[str, Any] = {"handle": [{"handler": "subroute"}]}
    route["handle"][0]["routes"] = [route]
    assert routes({"apps": {"http": {"servers": {"s": {"routes": [route]}}}}}) == ()


@pytest.mark.parametrize(
    ("dial", "expected"),
    [
        ("127.0.0.1:80", "127.0.0.1:80"),
        (":8001", "127.0.0.1:8001"),
        ("unix//run/x.sock", "unix:/run/x.sock"),
        ("tcp/[::1]:80", "[::1]:80"),
    ],
)
def test_addresses_have_one_form(dial: str, expected: str) -> None:
    assert address(dial) == expected


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("127.0.0.1:80", "localhost:80", True),
        ("0.0.0.0:80", "127.0.0.1:80", True),
        ("[::1]:80", "localhost:80", True),
        ("127.0.0.1:80", "127.0.0.1:81", False),
        ("127.0.0.1:80", "127.0.0.2:80", False),
        ("10.0.0.1:80", "localhost:80", False),
        ("unix:/a", "unix:/a", True),
        ("unix:/a", "unix:/b", False),
    ],
)
def test_the_same_address_is_recognised(one: str, other: str, same: bool) -> None:
    assert same_address(one, other) is same
    assert same_address(other, one) is same


def path_map() -> PathMap:
    api = Backend("api", "systemd", "api.service", listens=("0.0.0.0:8001",))
    return join(
        [api],
        [
            (
                "web",
                [
                    Route("one.test", ":80", "127.0.0.1:8001"),
                    Route("two.test", ":80", "10.0.0.9:9000"),
                ],
            )
        ],
    )


def test_an_upstream_belongs_to_the_application_that_listens_there() -> None:
    api = path_map().by_name("api")
    assert api is not None
    assert api.upstreams == ("127.0.0.1:8001",)


def test_an_upstream_nobody_listens_at_is_a_backend_of_its_own() -> None:
    remote = path_map().by_name("10.0.0.9:9000")
    assert remote is not None
    assert (remote.manager, remote.unit) == ("", "")


def test_a_host_a_client_made_up_never_becomes_a_label() -> None:
    found = path_map()
    assert found.behind("web", "evil.example", None) is None
    place = found.behind("web", "evil.example", "127.0.0.1:8001")
    assert place is not None
    assert (place.backend, place.site) == ("api", "one.test")


def test_a_failure_without_an_upstream_is_the_sites(tmp_path: Path) -> None:
    place = path_map().behind("web", "one.test", None)
    assert place == Place("api", "one.test", "127.0.0.1:8001")
