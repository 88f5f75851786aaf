"""Caddyfiles as people have them, judged away from their host."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from badgateway.packages.findings import Finding
from badgateway.routecheck import kinds, reading
from badgateway.routecheck.judging import Basis, judge
from badgateway.routecheck.reading import ProxyFile
from tests.routecheck.world import trusted_caddy

SITE = "a.test {\n\treverse_proxy %s\n}\n"


def read(folder: Path, text: str, named: bool = True) -> ProxyFile:
    path = folder / "Caddyfile"
    path.write_text(text)
    caddy = trusted_caddy()
    reads = reading.read(path, kinds.CADDYFILE, caddy) if named else None
    return asyncio.run(reads or reading.read(path, kinds.CADDYFILE))


def found(file: ProxyFile) -> tuple[Finding, ...]:
    return judge(file, Basis())


@pytest.mark.parametrize(
    ("written", "upstream"),
    [
        ("127.0.0.1:8001", "127.0.0.1:8001"),
        (":8001", "127.0.0.1:8001"),
        ("https://up.test", "up.test:443"),
        ("up.test", "up.test:80"),
        ("unix//run/a.sock", "unix:/run/a.sock"),
        ("{$UP:127.0.0.1:8001}", "127.0.0.1:8001"),
    ],
)
def test_an_address_is_placed_however_it_is_written(
    world_readable: Path, written: str, upstream: str
) -> None:
    (route,) = read(world_readable, SITE % written).routes
    assert (route.upstream, route.place) == (upstream, f"{world_readable}/Caddyfile:2")


def test_a_variable_has_the_value_of_the_environment_of_the_check(
    world_readable: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "{$SITE} {\n\treverse_proxy {$UP}\n}\n"
    (finding,) = found(read(world_readable, text))
    assert (finding.kind, finding.severity) == ("proxy_config_template", "info")
    assert finding.message == "Not judged: {$SITE}, {$UP} has no default, and no value here."
    monkeypatch.setenv("SITE", "a.test")
    monkeypatch.setenv("UP", "127.0.0.1:8001")
    (route,) = read(world_readable, text).routes
    assert (route.site, route.upstream) == ("a.test", "127.0.0.1:8001")


def test_what_caddy_says_is_told_without_what_stands_before_it(world_readable: Path) -> None:
    (finding,) = found(read(world_readable, SITE % "http://127.0.0.1:1/x"))
    assert finding.where == f"{world_readable}/Caddyfile:2"
    assert finding.message == (
        "Caddy would refuse this: for now, URLs for proxy upstreams only support scheme, host, and "
        "port components."
    )


def test_every_line_that_caddy_says_is_told(world_readable: Path) -> None:
    text = "a.test\nrespond 1\nb.test\nrespond 2\n"
    (finding,) = found(read(world_readable, text))
    assert finding.where == f"{world_readable}/Caddyfile:3"
    assert "unrecognized directive: b.test" in finding.message
    assert "define a second site" in finding.message


def test_another_build_may_know_what_this_one_refuses(
    world_readable: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "CADDY_PLACES", (trusted_caddy(),))
    text = "a.test {\n\trate_limit 3\n}\n"
    (finding,) = found(read(world_readable, text, named=False))
    assert finding.severity == "fatal"
    assert finding.fix.startswith("name the proxy's own caddy with --caddy")
    (finding,) = found(read(world_readable, text))
    assert finding.fix == ""


def test_a_password_before_an_address_is_not_told(world_readable: Path) -> None:
    file = read(world_readable, SITE % "joe:hunter2@127.0.0.1:8001")
    assert [f.kind for f in found(file)] == ["upstream_invalid"]
    assert "hunter2" not in str((file, found(file)))


def test_a_file_with_a_byte_order_mark_and_windows_lines_is_read(world_readable: Path) -> None:
    text = "\ufeff" + (SITE % "127.0.0.1:8001").replace("\n", "\r\n")
    assert [r.upstream for r in read(world_readable, text).routes] == ["127.0.0.1:8001"]
