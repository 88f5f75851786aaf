"""Where a Caddy configuration puts its admin API and what it writes where."""

from __future__ import annotations

from typing import Any

import pytest

from badgateway.topology.caddy.logs import logs
from badgateway.topology.caddy.routes import admin_address


@pytest.mark.parametrize(
    ("admin", "address"),
    [
        (None, None),
        ({}, None),
        ({"disabled": True}, ""),
        ({"listen": "localhost:2020"}, "http://localhost:2020"),
        ({"listen": "tcp/127.0.0.1:2020"}, "http://127.0.0.1:2020"),
        ({"listen": ":2020"}, "http://127.0.0.1:2020"),
        ({"listen": "0.0.0.0:2020"}, "http://localhost:2020"),
        ({"listen": "unix//run/caddy/admin.sock|0220"}, "unix:/run/caddy/admin.sock"),
        ({"listen": 7}, None),
    ],
)
def test_the_admin_api_is_where_the_configuration_says(admin: Any, address: str | None) -> None:
    assert admin_address({} if admin is None else {"admin": admin}) == address


def logging(*names: str, **loggers: dict[str, Any]) -> dict[str, Any]:
    servers = {"s": {"logs": {"logger_names": {f"{n}.test": n for n in names}}}} if names else {}
    for server in servers.values():
        server["logs"]["skip_unmapped_hosts"] = True  # type: ignore[assignment]
    return {"logging": {"logs": loggers}, "apps": {"http": {"servers": servers}}}


def file(path: str, **rest: Any) -> dict[str, Any]:
    return {"writer": {"output": "file", "filename": path}, **rest}


@pytest.mark.parametrize(
    ("document", "errors", "access"),
    [
        ({}, {""}, set()),
        # a site's own log, as the Caddyfile's `log` makes it
        (
            logging(
                "log0",
                log0=file("/a", include=["http.log.access.log0"]),
                default={"exclude": ["http.log.access.log0"]},
            ),
            {""},
            {"/a"},
        ),
        # `log errs { include http.log.error }`
        (
            logging(
                errs=file("/e", include=["http.log.error"]),
                default={"exclude": ["http.log.error"]},
            ),
            {"/e"},
            set(),
        ),
        (logging(everything=file("/all")), {"", "/all"}, set()),
        (logging("log0", everything=file("/all")), {"", "/all"}, {"", "/all"}),
        (logging(default=file("/all", encoder={"format": "console"})), set(), set()),
        (
            logging(default=file("/all", encoder={"format": "filter", "wrap": {"format": "json"}})),
            {"/all"},
            set(),
        ),
        (logging(default={"writer": {"output": "discard"}}), set(), set()),
    ],
)
def test_lines_are_expected_where_they_are_written(
    document: dict[str, Any], errors: set[str], access: set[str]
) -> None:
    found = logs(document)
    assert {log.path for log in found if log.errors} == errors
    assert {log.path for log in found if log.access} == access
