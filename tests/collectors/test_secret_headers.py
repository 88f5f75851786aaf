"""Secrets of probes: sent, never shown, read anew, and missed aloud."""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from badgateway import config
from badgateway.collectors import requestheaders
from badgateway.collectors.probes import Probes, Result, Target
from badgateway.counters import Counters
from tests.caddylog import eventually
from tests.servers import ExporterProcess

SECRET = "correct horse"


class Site:
    """A server that keeps the headers it was sent."""

    def __init__(self) -> None:
        self.seen: list[dict[str, str]] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.seen.append({k.lower(): v for k, v in self.headers.items()})
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"


@pytest.fixture
def site() -> Iterator[Site]:
    found = Site()
    thread = threading.Thread(target=found.server.serve_forever, args=(0.02,))
    thread.start()
    yield found
    found.server.shutdown()
    found.server.server_close()
    thread.join()


def target(site: Site, place: Path, keys: str) -> Target:
    text = f"backends: [{{name: api, probes: [{{name: p, url: '{site.url}', {keys}}}]}}]"
    (probe,) = config.parse(text, "c.yml", place).backends[0].probes
    return Target("api", "p", "edge", probe.url, headers=requestheaders.configured(probe))


class Asking:
    """A probe that is asked again and again by hand."""

    def __init__(self, wanted: Target) -> None:
        self.wanted = wanted
        self.probes = Probes(Counters(), "0" * 16, 5.0, 2.0)
        self.headers = requestheaders.RequestHeaders(wanted.headers, "probe p of api")

    def __call__(self) -> Result:
        async def ask() -> Result:
            async with self.probes._client(self.wanted) as client:
                return await self.probes._ask(client, self.wanted, self.headers)

        return asyncio.run(ask())


def test_a_password_from_a_file_is_sent_without_its_line_end(site: Site, tmp_path: Path) -> None:
    (tmp_path / "password").write_text(f"{SECRET}\r\n")
    ask = Asking(target(site, tmp_path, "basic_auth: {username: me, password_file: password}"))
    assert ask().reason == ""
    sent = site.seen[0]["authorization"]
    assert sent == "Basic " + base64.b64encode(f"me:{SECRET}".encode()).decode()


@pytest.mark.parametrize(
    ("keys", "name", "value"),
    [
        (f"authorization: {{credentials: '{SECRET}'}}", "authorization", f"Bearer {SECRET}"),
        ("authorization: {type: Token, credentials_file: s}", "authorization", f"Token {SECRET}"),
        ("headers_file: {X-Api-Key: s}", "x-api-key", SECRET),
        (f"headers: {{X-Api-Key: '{SECRET}'}}", "x-api-key", SECRET),
        ("headers: {X-Name: 'Jürgen'}", "x-name", "Jürgen".encode().decode("latin-1")),
        ("headers: {Host: api.internal}", "host", "api.internal"),
    ],
)
def test_headers_are_sent(site: Site, tmp_path: Path, keys: str, name: str, value: str) -> None:
    (tmp_path / "s").write_text(f"{SECRET}\n")
    assert Asking(target(site, tmp_path, keys))().reason == ""
    assert site.seen[0][name] == value
    assert site.seen[0]["user-agent"].startswith("badgateway/")


def test_a_changed_secret_is_used_at_once(site: Site, tmp_path: Path) -> None:
    (tmp_path / "s").write_text("one")
    ask = Asking(target(site, tmp_path, "headers_file: {X-Key: s}"))
    ask()
    (tmp_path / "new").write_text("two")
    (tmp_path / "new").rename(tmp_path / "s")  # as tools that rotate secrets do
    ask()
    (tmp_path / "s").write_text("six")  # same length, same file
    ask()
    assert [seen["x-key"] for seen in site.seen] == ["one", "two", "six"]


def test_an_unchanged_secret_is_not_opened_again(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "s").write_text(SECRET)
    ask = Asking(target(site, tmp_path, "headers_file: {X-Key: s}"))
    ask()
    opened: list[object] = []
    real = os.open

    def noted(path: str, *arguments: int, **named: int) -> int:
        opened.append(path)
        return real(path, *arguments, **named)

    monkeypatch.setattr(os, "open", noted)
    ask()
    assert tmp_path / "s" not in opened
    assert [seen["x-key"] for seen in site.seen] == [SECRET, SECRET]


def break_file(path: Path, how: str) -> None:
    path.unlink()
    if how == "folder":
        path.mkdir()
    elif how == "pipe":
        os.mkfifo(path)
    elif how == "loop":
        path.symlink_to(path.name)
    elif how == "empty":
        path.write_text("\n")
    elif how == "two lines":
        path.write_text(f"{SECRET}\nX-Forged: 1")
    elif how == "not text":
        path.write_bytes(SECRET.encode() + b"\xff")
    elif how == "large":
        path.write_text(SECRET * 10_000)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("gone", "No such file or directory"),
        ("folder", "Is a directory"),
        ("pipe", "Not a regular file"),
        ("loop", "Too many levels of symbolic links"),
        ("empty", "is empty"),
        ("two lines", "holds more than one line, or a control character"),
        ("not text", "is not UTF-8"),
        ("large", "is larger than 64 KiB"),
    ],
)
def test_without_its_secret_a_probe_asks_nothing_and_says_why_once(
    site: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture, how: str, said: str
) -> None:
    path = tmp_path / "s"
    path.write_text(SECRET)
    ask = Asking(target(site, tmp_path, "headers_file: {X-Key: s}"))
    break_file(path, how)
    with caplog.at_level(logging.INFO):
        results = [ask(), ask(), ask()]
    assert {result.reason for result in results} == {"configuration"}
    assert results[0].detail == f"{path}: {said}"
    assert site.seen == []
    assert [r.getMessage() for r in caplog.records if r.name == "badgateway.probes"] == [
        f"probe p of api: no probe without its secret: {path}: {said}"
    ]
    assert SECRET not in caplog.text + repr(results)


def test_a_probe_heals_when_its_secret_is_back(
    site: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ask = Asking(target(site, tmp_path, "headers_file: {X-Key: s}"))
    with caplog.at_level(logging.INFO):
        assert ask().reason == "configuration"
        (tmp_path / "s").write_text(SECRET)
        assert ask().reason == ""
    assert site.seen[0]["x-key"] == SECRET
    assert "probe p of api: its secrets can be read again" in caplog.messages


def test_without_its_secret_a_probe_tells_nothing_of_the_path(site: Site, tmp_path: Path) -> None:
    (tmp_path / "s").write_text(SECRET)
    wanted = target(site, tmp_path, "headers_file: {X-Key: s}")
    probes = Probes(Counters(), "0" * 16, 5.0, 2.0)
    asyncio.run(probes.once(frozenset((wanted,))))
    known = probes.states[wanted]
    (tmp_path / "s").unlink()
    asyncio.run(probes.once(frozenset((wanted,))))
    state = probes.states[wanted]
    assert (known.asked, state.asked) == (True, False)
    assert (state.failing, state.since, state.last.at) == (False, known.since, known.last.at)
    assert state.last == known.last
    assert state.silent == f"{tmp_path / 's'}: No such file or directory"
    counted = probes._counters.value("probe_failures_total", ("api", "p", "edge", "configuration"))
    assert counted == 1


def test_a_streak_of_failures_ends_by_an_answer_not_by_silence(site: Site, tmp_path: Path) -> None:
    (tmp_path / "s").write_text(SECRET)
    wanted = replace(target(site, tmp_path, "headers_file: {X-Key: s}"), expected=frozenset((204,)))
    probes, once = Probes(Counters(), "0" * 16, 5.0, 2.0), frozenset((wanted,))
    for _ in range(3):
        asyncio.run(probes.once(once))
    (tmp_path / "s").unlink()
    asyncio.run(probes.once(once))
    state = probes.states[wanted]
    assert (state.failing, state.failures, state.last.status) == (True, 3, 200)
    (tmp_path / "s").write_text(SECRET)
    asyncio.run(probes.once(once))
    assert (probes.states[wanted].failures, probes.states[wanted].asked) == (4, True)


def test_a_failing_probe_asked_with_another_secret_fails_until_that_answers(site: Site) -> None:
    def wanted(secret: str, url: str) -> frozenset[Target]:
        header = requestheaders.Header("X-Key", config.Secret(secret))
        asked = Target("api", "p", "edge", url, expected=frozenset((204,)), headers=(header,))
        return frozenset((asked,))

    async def run() -> None:
        probes = Probes(Counters(), "0" * 16, 5.0, 2.0)
        probes.watch(wanted("old", site.url))
        while not probes.states:
            await asyncio.sleep(0.01)
        probes.watch(wanted("new", site.url))
        assert [state.failures for state in probes.states.values()] == [1]
        while [state.failures for state in probes.states.values()] == [1]:
            await asyncio.sleep(0.01)
        assert [state.failures for state in probes.states.values()] == [2]
        probes.watch(wanted("new", f"{site.url}elsewhere"))  # of that nothing is known
        assert probes.states == {}
        await probes.stop()

    asyncio.run(run())


def test_a_failing_probe_that_loses_its_secret_fires_on_and_is_shown(
    tmp_path: Path, site: Site
) -> None:
    (tmp_path / "s").write_text(SECRET)
    probe = f"{{name: p, url: '{site.url}', headers_file: {{X-Key: s}}, expect: {{status: [204]}}}}"
    text = (
        "discovery: {enabled: false}\nprobes: {interval: 200ms, timeout: 100ms, default: false}\n"
        f"backends: [{{name: api, probes: [{probe}]}}]\n"
    )
    with ExporterProcess(tmp_path, text) as exporter:
        eventually(lambda: exporter.total("probe_consecutive_failures") >= 3)
        (tmp_path / "s").unlink()
        eventually(lambda: exporter.total("probe_failures_total", reason="configuration") >= 3)
        samples = exporter.scrape()
        assert exporter.total("probe_consecutive_failures", probe="p") >= 3
        assert exporter.total("probe_status_code", probe="p") == 200
        assert not [s for s in samples if s[0] == "badgateway_probe_duration_seconds"]

        def api() -> dict[str, Any]:
            answer = httpx.get(f"{exporter.url}/api/v1/diagnosis", trust_env=False).json()
            found: dict[str, Any] = answer["backends"][0]
            return found

        eventually(lambda: api()["hops"][0]["state"] == "unknown")
        assert "not asked: " in api()["hops"][0]["text"]
        assert "in a row" in api()["hops"][0]["text"]
        assert api()["state"] == "unknown"
        page = httpx.get(exporter.url, trust_env=False).text
        assert "not asked: " in page
        assert SECRET not in page


def test_a_probe_that_never_had_its_secret_is_known_and_fails_nothing(
    site: Site, tmp_path: Path
) -> None:
    wanted = target(site, tmp_path, "headers_file: {X-Key: s}")
    probes = Probes(Counters(), "0" * 16, 5.0, 2.0)
    asyncio.run(probes.once(frozenset((wanted,))))
    assert not probes.states[wanted].asked
    assert not probes.states[wanted].failing


def test_a_target_does_not_show_its_secrets(site: Site, tmp_path: Path) -> None:
    given = "password: hunter2"
    wanted = target(
        site, tmp_path, f"basic_auth: {{username: me, {given}}}, headers: {{X: hunter2}}"
    )
    assert "hunter2" not in repr(wanted)
    assert wanted != target(site, tmp_path, "basic_auth: {username: me, password: other}")
    assert wanted == target(
        site, tmp_path, f"headers: {{X: hunter2}}, basic_auth: {{{given}, username: me}}"
    )


def test_a_header_that_cannot_be_sent_is_not_quoted(site: Site) -> None:
    header = requestheaders.Header("X-Key", config.Secret("hunter2\r\nX-Forged: 1"))
    result = Asking(Target("api", "p", "edge", site.url, headers=(header,)))()
    assert result.reason
    assert "hunter2" not in repr(result)
    assert site.seen == []
