"""Where Caddy writes what, in its JSON configuration (caddyserver.com/docs/json/logging).

Pure: the document in, logs out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from badgateway.topology.caddy.document import as_list, mapping
from badgateway.topology.routes import WrittenLog


def logs(document: Mapping[str, Any]) -> tuple[WrittenLog, ...]:
    """Return where Caddy writes what, in JSON (caddyserver.com/docs/json/logging)."""
    loggers = dict(mapping(mapping(document.get("logging")).get("logs")))
    loggers.setdefault("default", {})
    names = _access_loggers(document)
    found: dict[str, WrittenLog] = {}
    for logger in map(mapping, loggers.values()):
        writer = mapping(logger.get("writer"))
        output = writer.get("output", "stderr")
        if not _is_json(logger) or output not in ("stderr", "stdout", "file"):
            continue
        path = str(writer.get("filename", "")) if output == "file" else ""
        known = found.get(path, WrittenLog(path, "caddy", errors=False, access=False))
        found[path] = replace(
            known,
            errors=known.errors or _takes(logger, "http.log.error"),
            access=known.access or any(_takes(logger, name) for name in names),
        )
    return tuple(found.values())


def _access_loggers(document: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the loggers that take answered requests."""
    names: dict[str, None] = {}
    http = mapping(mapping(document.get("apps")).get("http"))
    for server in mapping(http.get("servers")).values():
        logs = mapping(server).get("logs")
        if not isinstance(logs, Mapping):
            continue
        given: list[Any] = [logs.get("default_logger_name")]
        for value in mapping(logs.get("logger_names")).values():
            given += value if isinstance(value, list) else [value]  # several since 2.8
        for name in given:
            if isinstance(name, str) and name:
                names[f"http.log.access.{name}"] = None
        if not logs.get("default_logger_name") and not logs.get("skip_unmapped_hosts"):
            names["http.log.access"] = None
    return tuple(names)


def _takes(logger: Mapping[str, Any], name: str) -> bool:
    """Whether a log takes what a logger writes: the longer of its rules that fit decides."""
    included, excluded = as_list(logger.get("include")), as_list(logger.get("exclude"))
    inside = max((len(str(rule)) for rule in included if _below(name, rule)), default=-1)
    outside = max((len(str(rule)) for rule in excluded if _below(name, rule)), default=-1)
    return (inside >= 0 or not included) and inside >= outside


def _below(name: str, rule: object) -> bool:
    return isinstance(rule, str) and (name == rule or name.startswith(f"{rule}."))


def _is_json(logger: object) -> bool:
    encoder = mapping(mapping(logger).get("encoder"))
    while encoder.get("format") in ("filter", "append"):
        encoder = mapping(encoder.get("wrap"))
    return bool(encoder.get("format", "json") == "json")
