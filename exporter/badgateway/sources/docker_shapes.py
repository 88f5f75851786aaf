"""What a Docker daemon's answers look like, as far as they are read (API 1.24 and later).

Whatever answers on the socket may be no daemon. What does not have this shape goes no further.
"""

from __future__ import annotations

from typing import Any

import msgspec

_Texts = list[str] | None
_Map = dict[str, str] | None


class _Health(msgspec.Struct):
    Status: str = ""


class _State(msgspec.Struct):
    Status: str = ""
    Error: str = ""
    StartedAt: str = ""
    FinishedAt: str = ""
    OOMKilled: bool = False
    ExitCode: int = 0
    Pid: int = 0
    Health: _Health | None = None


class _Policy(msgspec.Struct):
    Name: str = ""
    MaximumRetryCount: int = 0


class _Host(msgspec.Struct):
    RestartPolicy: _Policy | None = None
    NetworkMode: str = ""


class _Config(msgspec.Struct):
    Labels: _Map = None
    Env: _Texts = None
    Cmd: _Texts = None
    Entrypoint: _Texts = None
    ExposedPorts: dict[str, Any] | None = None
    Image: str = ""
    WorkingDir: str = ""
    Tty: bool = False


class _Mount(msgspec.Struct):
    Source: str = ""
    Destination: str = ""


class _Driver(msgspec.Struct):
    Data: _Map = None


class _Binding(msgspec.Struct):
    HostIp: str = ""
    HostPort: str = ""


class _Network(msgspec.Struct):
    IPAddress: str = ""
    Aliases: _Texts = None
    DNSNames: _Texts = None


class _Networks(msgspec.Struct):
    Ports: dict[str, list[_Binding] | None] | None = None
    Networks: dict[str, _Network] | None = None


class _Container(msgspec.Struct):
    Id: str
    State: _State
    Name: str = ""
    Path: str = ""
    Created: str = ""
    Args: _Texts = None
    RestartCount: int = 0
    HostConfig: _Host | None = None
    Config: _Config | None = None
    Mounts: list[_Mount] | None = None
    GraphDriver: _Driver | None = None
    NetworkSettings: _Networks | None = None


class _Actor(msgspec.Struct):
    ID: str = ""
    Attributes: _Map = None


class _Event(msgspec.Struct, rename={"time_nano": "timeNano"}):
    Action: str = ""
    Type: str = ""
    time_nano: int = 0
    Actor: _Actor | None = None


def container(document: object) -> dict[str, Any]:
    """Return a description of a container as it is, if it has the shape of one.

    Raises:
        ValueError: it has not.
    """
    msgspec.convert(document, _Container)
    assert isinstance(document, dict)
    return document


def event(document: object) -> dict[str, Any]:
    """Return an event as it is, if it has the shape of one.

    Raises:
        ValueError: it has not.
    """
    msgspec.convert(document, _Event)
    assert isinstance(document, dict)
    return document
