"""What is remembered of an application."""

from __future__ import annotations

from typing import Any

import msgspec

from badgateway.topology import memory
from badgateway.topology.backends import Backend
from badgateway.topology.launch.command import Launch

API = Backend(
    "api", "systemd", "api.service",
    Launch(("uvicorn", "--key=hush"), "/srv", {"TOKEN": "hush"}, server="uvicorn", workers=2,
           listen=("127.0.0.1:8001",), virtualenv="/srv/.venv"),
    ("127.0.0.1:8001",), project="/srv", virtualenv="/srv/.venv",
)  # fmt: skip


def saved() -> bytes:
    return msgspec.json.encode([memory.document(API)])


def test_an_application_is_remembered_without_its_secrets() -> None:
    assert b"hush" not in saved()
    (found,) = memory.backends(msgspec.json.decode(saved()))
    assert found.launch is not None
    assert (found.name, found.unit, found.listens, found.project) == (
        "api", "api.service", ("127.0.0.1:8001",), "/srv",
    )  # fmt: skip
    assert (found.server, found.workers) == ("uvicorn", 2)


def test_what_another_version_wrote_is_left_out() -> None:
    strange: list[dict[str, Any]] = [{"name": 7}, {"name": "a", "launch": {"workers": "many"}}, {}]
    assert list(memory.backends(strange)) == []
