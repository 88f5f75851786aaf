"""The configuration's keys: each with its type, default, meaning and an example.

The reference (``badgateway reference configuration``) is generated from here. In ``Meta.extra``
``unit`` is the unit a value is kept in, and ``instead_of`` another key that excludes this one.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from badgateway.config.keytypes import (
    URL_PATH,
    Absolute,
    BackendName,
    Base,
    ContainerName,
    DockerHost,
    Name,
    Unit,
)
from badgateway.config.probeschema import Probe
from badgateway.config.values import Duration


class Log(Base, frozen=True):
    """A log to read: a file or a unit's journal, one of the two."""

    file: Annotated[
        Absolute | None,
        Meta(
            description="Path of a log file; `*`, `?` and `[…]` stand for several, also for those "
            "that appear later.",
            examples=["/var/log/archive/gunicorn.log"],
        ),
    ] = None
    journal: Annotated[
        Unit | None,
        Meta(
            description="Systemd unit whose journal is read.",
            examples=["archive-worker.service"],
            extra={"instead_of": "file"},
        ),
    ] = None


class ProxyLog(Log, frozen=True):
    """A log of a proxy."""

    file: Annotated[
        Absolute | None,
        Meta(
            description="Path of a log file, or a pattern, as of a backend.",
            examples=["/var/log/nginx/*access.log"],
        ),
    ] = None
    journal: Annotated[
        Unit | None,
        Meta(
            description="Systemd unit whose journal is read.",
            examples=["nginx-logger.service"],
            extra={"instead_of": "file"},
        ),
    ] = None
    format: Annotated[
        Literal["nginx-error", "nginx-access"] | None,
        Meta(
            description="What an nginx log holds, where neither its configuration nor `error` in "
            "its name tells.",
            examples=["nginx-access"],
        ),
    ] = None
    log_format: Annotated[
        str,
        Meta(
            description="nginx' `log_format` of an access log, where its configuration cannot be "
            "read; `combined` and JSON are recognised without.",
            examples=["$host $status $upstream_response_time"],
        ),
    ] = ""


class Probes(Base, frozen=True):
    """How probes run."""

    enabled: Annotated[
        bool, Meta(description="`false` switches every probe off.", examples=[False])
    ] = True
    default: Annotated[
        bool,
        Meta(
            description="`false` leaves only the probes written in this file. Those asked by "
            "default are each application at its upstreams (named `origin`, `origin-2`, …) and "
            "through each proxy of this host (`proxy`, `proxy-2`, …).",
            examples=[False],
        ),
    ] = True
    interval: Annotated[
        Duration,
        Meta(
            description="Between two probes of one URL; at least 100ms.",
            examples=["10s"],
            extra={"unit": "seconds"},
        ),
    ] = Duration(5)
    timeout: Annotated[
        Duration,
        Meta(
            description="After which a probe has failed; at most the interval.",
            examples=["2s500ms"],
            extra={"unit": "seconds"},
        ),
    ] = Duration(3)
    path: Annotated[
        str,
        Meta(
            pattern=URL_PATH,
            description="Path the default probes ask for.",
            examples=["/health"],
        ),
    ] = "/"


class Backend(Base, frozen=True):
    """An application behind a proxy. What is not given is discovered."""

    name: Annotated[
        BackendName,
        Meta(
            description="The `backend` label. A discovered backend of this name, or of the unit "
            "given below, is completed.",
            examples=["archive-api"],
        ),
    ]
    unit: Annotated[
        Unit | None, Meta(description="Its systemd unit.", examples=["archive-api.service"])
    ] = None
    container: Annotated[
        ContainerName | None,
        Meta(
            description="Its container: compose project and service, or a container's name.",
            examples=["archive/api"],
            extra={"instead_of": "unit"},
        ),
    ] = None
    command: Annotated[
        tuple[str, ...],
        Meta(
            description="Its command line, where no unit has it. It is read, never run.",
            examples=[["/srv/archive/.venv/bin/uvicorn", "archive.main:app", "--port", "8001"]],
        ),
    ] = ()
    working_directory: Annotated[
        Absolute | None,
        Meta(
            description="Where the command runs.",
            examples=["/srv/archive"],
        ),
    ] = None
    upstreams: Annotated[
        tuple[str, ...],
        Meta(
            description="Addresses at which proxies reach it, `host:port` or `unix:/path`.",
            examples=[["127.0.0.1:8001", "unix:/run/archive/api.sock"]],
        ),
    ] = ()
    project: Annotated[
        Absolute | None,
        Meta(
            description="Directory of its `pyproject.toml` or `requirements.txt`.",
            examples=["/srv/archive"],
        ),
    ] = None
    virtualenv: Annotated[
        Absolute | None, Meta(description="Its virtualenv.", examples=["/srv/archive/.venv"])
    ] = None
    extras: Annotated[
        tuple[str, ...],
        Meta(
            description="Extras it is installed with; no virtualenv records them.",
            examples=[["postgres"]],
        ),
    ] = ()
    logs: Annotated[
        tuple[Log, ...],
        Meta(
            description="Its logs, beside its unit's journal. A log has one reader: it stands once "
            "in a configuration."
        ),
    ] = ()
    probes: Annotated[tuple[Probe, ...], Meta(description="URLs to ask regularly.")] = ()


class Proxy(Base, frozen=True):
    """A reverse proxy. What is not given is discovered."""

    name: Annotated[Name, Meta(description="The `proxy` label.", examples=["caddy"])]
    kind: Annotated[
        Literal["caddy", "nginx"],
        Meta(description="Which program it is.", examples=["nginx"]),
    ]
    unit: Annotated[
        Unit | None, Meta(description="Its systemd unit.", examples=["caddy.service"])
    ] = None
    admin: Annotated[
        str | None,
        Meta(
            description='Caddy\'s admin API, `http://host:port` or `unix:/path`; `""` means none.',
            examples=["http://localhost:2019"],
        ),
    ] = None
    config: Annotated[
        Absolute | None,
        Meta(
            description="Its configuration file. Caddy's is JSON if it is called so, else a "
            "Caddyfile.",
            examples=["/etc/nginx/nginx.conf"],
        ),
    ] = None
    logs: Annotated[
        tuple[ProxyLog, ...],
        Meta(
            description="Its logs, beside its unit's journal. A log has one reader: it stands once "
            "in a configuration.",
        ),
    ] = ()


class Discovery(Base, frozen=True):
    """What is looked for on this host."""

    enabled: Annotated[
        bool,
        Meta(description="`false` watches only what this file names.", examples=[False]),
    ] = True
    interval: Annotated[
        Duration,
        Meta(
            description="Between two looks for new units and changed proxy configurations; at "
            "least 1s.",
            examples=["30s"],
            extra={"unit": "seconds"},
        ),
    ] = Duration(15)
    run_proxy_adapter: Annotated[
        bool,
        Meta(
            description="Whether a proxy's own program may be run, held to reading, on its "
            "configuration: `caddy adapt` to read a Caddyfile, `nginx -t` to tell whether the next "
            "reload would be refused.",
            examples=[False],
        ),
    ] = True


class Docker(Base, frozen=True):
    """The Docker daemon whose containers are watched."""

    enabled: Annotated[
        bool,
        Meta(
            description="`false` asks no daemon, also where its socket is found.",
            examples=[False],
        ),
    ] = True
    host: Annotated[
        DockerHost | None,
        Meta(
            description="Its address, where it is neither in the environment (`DOCKER_HOST`) nor "
            "Docker's usual socket; also that of a socket proxy.",
            examples=["unix:///run/docker-proxy.sock"],
        ),
    ] = None


class Config(Base, frozen=True):
    """The whole file."""

    environment: Annotated[
        str,
        Meta(
            max_length=64,
            description="The `environment` label of `badgateway_backend_info`.",
            examples=["production"],
        ),
    ] = ""
    discovery: Annotated[Discovery, Meta(description="What is looked for.")] = Discovery()
    docker: Annotated[Docker, Meta(description="Whose containers are watched.")] = Docker()
    probes: Annotated[Probes, Meta(description="How probes run.")] = Probes()
    backends: Annotated[
        tuple[Backend, ...],
        Meta(description="Applications to watch, beside those discovered."),
    ] = ()
    proxies: Annotated[
        tuple[Proxy, ...], Meta(description="Proxies to watch, beside those discovered.")
    ] = ()
