"""Admin addresses as Caddy's configurations have them: none of them ends the look at the host."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from badgateway.blocking import Blocking
from badgateway.topology.caddy import asking as caddy_asking
from badgateway.topology.proxies.place import ProxyPlace


@pytest.mark.parametrize(
    "listen",
    [
        "{env.ADMIN}",
        "fd/3",
        "localhost:2019-2020",
        "localhost:99999",
        "[::1",
        "\0:1",
        "\u00fc" * 70,
    ],
)
def test_an_address_that_cannot_be_asked_is_told(tmp_path: Path, listen: str) -> None:
    file = tmp_path / "caddy.json"
    file.write_text(json.dumps({"admin": {"listen": listen}, "apps": {}}))
    place = ProxyPlace("caddy", config=str(file))
    found = asyncio.run(caddy_asking.look(place, Blocking("reading")))
    assert found.problems["caddy-config"] == ""
    assert listen in found.problems["caddy-admin"]
    assert "TaskGroup" not in found.problems["caddy-admin"]
    assert found.on_disk == ()
