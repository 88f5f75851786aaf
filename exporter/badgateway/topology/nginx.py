"""nginx' configuration (nginx 1.18 and later, nginx.org/en/docs): sites, upstreams and logs.

Pure: the directives as ``crossplane`` reads them in, with includes put in their places; routes and
logs out. Anything that is not shaped as expected is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from badgateway.topology.routes import Route, SameRequests, WrittenLog

Directives = Sequence[Mapping[str, Any]]

_PASSES: Final = {
    "proxy_pass": "http",
    "fastcgi_pass": "fastcgi",
    "uwsgi_pass": "uwsgi",
    "scgi_pass": "scgi",
    "grpc_pass": "grpc",
}
_PORTS: Final = {"http": "80", "https": "443", "grpc": "80", "grpcs": "443"}
_SECURE: Final = ("https", "grpcs")
_LOCATION: Final = re.compile(r"^(?:(\w+)://)?(.*)$", re.S)
_VARIABLE: Final = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_LEVELS_WITH_FAILURES: Final = ("debug", "info", "notice", "warn", "error")
_DEPTH_LIMIT: Final = 30


@dataclass(frozen=True, slots=True)
class _Passed:
    """Where a location sends its requests."""

    protocol: str
    address: str
    secure: bool
    group: str = ""


def routes(directives: Directives) -> tuple[Route, ...]:
    """Return every route to an upstream, in the order of the configuration, without repetition."""
    found: dict[Route, None] = {}
    for http in _blocks(directives, "http"):
        groups = {
            str(upstream["args"][0]): _members(_inside(upstream))
            for upstream in _named(http, "upstream")
            if upstream.get("args")
        }
        for server in _blocks(http, "server"):
            listen, tls = _listens(server)
            names = tuple(dict.fromkeys(_sites(server))) or ("*",)
            for passed in _passes(server, groups, _assigned(server), 0):
                for site in names:
                    found[
                        Route(
                            site, listen, passed.address, tls, passed.secure, passed.group,
                            passed.protocol,
                        )
                    ] = None  # fmt: skip
    return tuple(found)


def logs(directives: Directives, prefix: str) -> tuple[WrittenLog, ...]:
    """Return the files nginx writes its logs to.

    Args:
        directives: the whole configuration.
        prefix: folder that relative paths begin at.
    """
    errors: dict[str, bool] = {}
    answers: dict[tuple[str, str, str], set[str | None]] = {}
    _error_logs(directives, prefix, errors, 0)
    for http in _blocks(directives, "http"):
        formats = {
            str(directive["args"][0]): tuple(map(str, directive["args"][1:]))
            for directive in _named(http, "log_format")
            if directive.get("args")
        }
        _access_logs(http, prefix, formats, (None,), answers, 0)
    found: dict[str, WrittenLog] = {
        path: WrittenLog(path, "nginx-error", errors=told, access=False)
        for path, told in errors.items()
    }
    for (path, template, escape), sites in answers.items():
        site = next(iter(sites)) if len(sites) == 1 else None
        # two formats in one file: each line is then taken for what it looks like
        mixed = any(other[0] == path and other != (path, template, escape) for other in answers)
        log = WrittenLog(path, "nginx-access", False, True, template, escape, site)
        found[path] = replace(log, log_format="", escape="default", site=None) if mixed else log
    return tuple(found.values())


def together(directives: Directives, prefix: str) -> tuple[SameRequests, ...]:
    """Return which access logs hold the same requests: those named at one place.

    Args:
        directives: the whole configuration.
        prefix: folder that relative paths begin at.
    """
    found: dict[SameRequests, None] = {}
    for http in _blocks(directives, "http"):
        _together(http, prefix, found, 0)
    return tuple(found)


def _together(
    directives: Directives, prefix: str, found: dict[SameRequests, None], depth: int
) -> None:
    whole, partial = dict[str, None](), dict[str, None]()
    named = [_args(directive) for directive in _named(directives, "access_log")]
    for words in named:
        path = _path(words[0], prefix) if words and not _is_packed(words) else None
        if path is not None:
            (partial if any(w.startswith("if=") for w in words[1:]) else whole)[path] = None
    if (whole or partial) and ("off",) not in named:  # which cancels all at its place
        found[SameRequests(tuple(whole), tuple(path for path in partial if path not in whole))] = (
            None
        )
    for directive in directives if depth < _DEPTH_LIMIT else ():
        _together(_inside(directive), prefix, found, depth + 1)


def _is_packed(words: Sequence[str]) -> bool:
    return any(word.startswith("gzip") for word in words[1:])


def _named(directives: Directives, *names: str) -> Iterator[Mapping[str, Any]]:
    return (d for d in directives if d.get("directive") in names)


def _inside(directive: Mapping[str, Any]) -> Directives:
    block = directive.get("block")
    return block if isinstance(block, list) else ()


def _blocks(directives: Directives, name: str) -> Iterator[Directives]:
    return (_inside(directive) for directive in _named(directives, name))


def _args(directive: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(map(str, directive.get("args") or ()))


def _members(upstream: Directives) -> tuple[str, ...]:
    """The addresses of a group, without those that are switched off."""
    members = [_args(server) for server in _named(upstream, "server")]
    return tuple(_address(words[0], "80") for words in members if words and "down" not in words)


def _listens(server: Directives) -> tuple[str, bool]:
    """The first address a server listens at, ``host:port``, and whether it speaks TLS there."""
    found = []
    for words in map(_args, _named(server, "listen")):
        if words and not words[0].startswith("unix:"):
            host, _, port = words[0].rpartition(":")
            if words[0].isdigit():
                host, port = "", words[0]
            elif not port.isdigit():  # an address alone, perhaps of IPv6
                host, port = words[0], "80"
            found.append((f"{'' if host in ('*', '0.0.0.0', '[::]') else host}:{port}", words))  # noqa: S104
    if not found:
        return ":80", False
    address, words = found[0]
    return address, "ssl" in words


def _sites(server: Directives) -> Iterator[str]:
    """The names a server answers to; ``*`` for every one that no other server has."""
    for words in map(_args, _named(server, "server_name")):
        for name in words:
            if name in ("_", "", "localhost") or name.startswith("~") or "$" in name:
                yield "*"
            elif name.startswith("."):
                yield name[1:].lower()
                yield f"*{name.lower()}"
            else:
                yield name.lower()


def _assigned(directives: Directives, depth: int = 0) -> dict[str, str]:
    """Variables that are set to a fixed text, name → text; of several, none is known."""
    values: dict[str, set[str]] = {}
    if depth > _DEPTH_LIMIT:
        return {}
    for directive in directives:
        words = _args(directive)
        if directive.get("directive") == "set" and len(words) == 2:
            values.setdefault(words[0].lstrip("$"), set()).add(words[1])
        for name, value in _assigned(_inside(directive), depth + 1).items():
            values.setdefault(name, set()).add(value)
    return {
        name: next(iter(texts))
        for name, texts in values.items()
        if len(texts) == 1 and "$" not in next(iter(texts))
    }


def _passes(
    directives: Directives,
    groups: Mapping[str, tuple[str, ...]],
    assigned: Mapping[str, str],
    depth: int,
) -> Iterator[_Passed]:
    if depth > _DEPTH_LIMIT:
        return
    for directive in directives:
        protocol, words = _PASSES.get(str(directive.get("directive"))), _args(directive)
        if protocol and words:
            yield from _passed(protocol, words[0], groups, assigned)
        yield from _passes(_inside(directive), groups, assigned, depth + 1)


def _passed(
    protocol: str,
    target: str,
    groups: Mapping[str, tuple[str, ...]],
    assigned: Mapping[str, str],
) -> Iterator[_Passed]:
    """Where one ``*_pass`` leads: an address, or each member of a group."""
    text = _VARIABLE.sub(lambda name: assigned.get(name[1] or name[2], name[0]), target)
    scheme, rest = "", text
    if found := _LOCATION.match(text):
        scheme, rest = found[1] or "", found[2]
    port = _PORTS.get(scheme, "80" if protocol in ("http", "grpc") else "")
    secure = scheme in _SECURE
    if rest.startswith("unix:"):
        path = rest.removeprefix("unix:").partition(":")[0]
        yield _Passed(protocol, f"unix:{path}", secure)
        return
    name = rest.partition("/")[0]
    if not name:
        return
    if "$" in name:
        # known only to the proxy; kept, so that it is seen to lead somewhere
        yield _Passed(protocol, "{" + name + "}", secure)
        return
    if name in groups:
        # one without members has them elsewhere, as in a file that is written at run time
        for address in groups[name] or ("{" + name + "}",):
            yield _Passed(protocol, address, secure, name)
        return
    yield _Passed(protocol, _address(name, port), secure)


def _address(text: str, port: str) -> str:
    """``host:port`` or ``unix:/path``, with nginx' default port where none is written."""
    if text.startswith("unix:"):
        return text
    host, colon, given = text.rpartition(":")
    if colon and given.isdigit() and not text.endswith("]"):
        return f"{host}:{given}"
    return f"{text}:{port}" if port else text


def _error_logs(directives: Directives, prefix: str, found: dict[str, bool], depth: int) -> None:
    """Collect error logs, path → whether failures of requests are told there."""
    for directive in directives:
        words = _args(directive)
        if directive.get("directive") == "error_log" and words:
            path = _path(words[0], prefix)
            if path is not None:
                level = words[1] if len(words) > 1 else "error"
                found[path] = found.get(path, False) or level in _LEVELS_WITH_FAILURES
        elif depth < _DEPTH_LIMIT:
            _error_logs(_inside(directive), prefix, found, depth + 1)


def _access_logs(
    directives: Directives,
    prefix: str,
    formats: Mapping[str, tuple[str, ...]],
    sites: tuple[str | None, ...],
    found: dict[tuple[str, str, str], set[str | None]],
    depth: int,
) -> None:
    """Collect access logs, (path, template, escape) → the sites whose requests are there."""
    for directive in directives:
        name, words = directive.get("directive"), _args(directive)
        if name == "access_log" and words:
            path = _path(words[0], prefix)
            named = next((w for w in words[1:] if "=" not in w), "combined")
            if path is None or _is_packed(words):
                continue
            template, escape = _template(formats.get(named, ()))
            found.setdefault((path, template, escape), set()).update(sites)
        elif depth < _DEPTH_LIMIT:
            inside = _inside(directive)
            here = sites
            if name == "server":
                names = tuple(dict.fromkeys(_sites(inside))) or ("*",)
                here = names if len(names) == 1 and "*" not in names[0] else (None,)
            _access_logs(inside, prefix, formats, here, found, depth + 1)


def _template(words: Sequence[str]) -> tuple[str, str]:
    """The template of a ``log_format`` and how it escapes; empty for ``combined``."""
    escape = "default"
    if words and words[0].startswith("escape="):
        escape, words = words[0].removeprefix("escape="), words[1:]
    return "".join(words), escape


def _path(text: str, prefix: str) -> str | None:
    """The file a log directive names, ``*`` for variables; None when it names no file."""
    if text in ("off", "stderr", "/dev/null", "/dev/stdout", "/dev/stderr") or text.startswith(
        ("syslog:", "memory:", "|")
    ):
        return None
    text = _VARIABLE.sub("*", text)
    return text if text.startswith("/") else f"{prefix.rstrip('/')}/{text}"
