"""Probes of addresses as configurations have them, and in need."""

from __future__ import annotations

import asyncio
import errno
from dataclasses import replace

import httpx
import pytest

from badgateway.collectors.probes import Probes, Target
from badgateway.counters import Counters


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1:80010/", "connect_failed"),  # a digit too many
        ("http://127.0.0.1:http/", "connect_failed"),
        ("http://[::1/", "connect_failed"),
        ("http:///", "connect_failed"),
        ("http://127.0.0.1:9/", "connect_refused"),
    ],
)
def test_an_address_that_is_none_is_a_failed_probe(url: str, reason: str) -> None:
    probes, target = Probes(Counters(), "0" * 16, 5.0, 2.0), Target("api", "p", "origin", url)
    asyncio.run(probes.once(frozenset((target,))))
    result = probes.states[target].last
    assert result.reason == reason
    assert "TaskGroup" not in result.detail


def test_a_probe_that_cannot_even_begin_is_begun_anew(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real, tried = Probes._client, list[Target]()

    def client(probes: Probes, target: Target) -> httpx.AsyncClient:
        tried.append(target)
        if len(tried) < 3:
            raise OSError(errno.EMFILE, "Too many open files")
        return real(probes, target)

    async def run() -> None:
        probes = Probes(Counters(), "0" * 16, 0.05, 0.05)
        probes.watch(frozenset((Target("api", "p", "origin", "http://127.0.0.1:9/"),)))
        async with asyncio.timeout(5):
            while not probes.states:
                await asyncio.sleep(0.01)
        await probes.stop()

    monkeypatch.setattr(Probes, "_client", client)
    asyncio.run(run())
    assert [r.getMessage() for r in caplog.records if r.name == "badgateway.probes"] == [
        "probe p of api is begun anew: OSError(24, 'Too many open files')"
    ] * 2


def test_a_probe_that_asks_another_url_remembers_when_it_last_succeeded() -> None:
    """As when an application is given another port: that is no new application."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()
        writer.close()

    async def run() -> tuple[float, float]:
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
            probes = Probes(Counters(), "0" * 16, 5.0, 2.0)
            right = Target("api", "p", "origin", url)
            await probes.once(frozenset((right,)))
        moved = replace(right, url="http://127.0.0.1:9/")
        await probes.once(frozenset((moved,)))
        assert probes.states[moved].failing
        return probes.states[right].succeeded, probes.states[moved].succeeded

    before, after = asyncio.run(run())
    assert before == after > 0
