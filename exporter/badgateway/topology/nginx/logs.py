"""The logs that nginx' configuration names (``access_log``, ``log_format``, ``error_log``).

Pure: directives in, logs out. Anything that is not shaped as expected is passed over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from badgateway.topology.nginx.directives import (
    DEPTH_LIMIT,
    VARIABLE,
    Directives,
    arguments,
    below,
    blocks,
    each,
    server_names,
)
from badgateway.topology.routes import SameRequests, WrittenLog

_LEVELS_WITH_FAILURES: Final = ("debug", "info", "notice", "warn", "error")


def logs(directives: Directives, prefix: str) -> tuple[WrittenLog, ...]:
    """Return the files nginx writes its logs to.

    Args:
        directives: the whole configuration.
        prefix: folder that relative paths begin at.
    """
    errors: dict[str, bool] = {}
    answers: dict[tuple[str, str, str], set[str | None]] = {}
    _error_logs(directives, prefix, errors, 0)
    for http in blocks(directives, "http"):
        formats = {
            str(directive["args"][0]): tuple(map(str, directive["args"][1:]))
            for directive in each(http, "log_format")
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
    for http in blocks(directives, "http"):
        _together(http, prefix, found, 0)
    return tuple(found)


def _together(
    directives: Directives, prefix: str, found: dict[SameRequests, None], depth: int
) -> None:
    whole, partial = dict[str, None](), dict[str, None]()
    named = [arguments(directive) for directive in each(directives, "access_log")]
    for words in named:
        path = _path(words[0], prefix) if words and not _is_packed(words) else None
        if path is not None:
            (partial if any(w.startswith("if=") for w in words[1:]) else whole)[path] = None
    if (whole or partial) and ("off",) not in named:  # which cancels all at its place
        found[SameRequests(tuple(whole), tuple(path for path in partial if path not in whole))] = (
            None
        )
    for directive in directives if depth < DEPTH_LIMIT else ():
        _together(below(directive), prefix, found, depth + 1)


def _is_packed(words: Sequence[str]) -> bool:
    return any(word.startswith("gzip") for word in words[1:])


def _error_logs(directives: Directives, prefix: str, found: dict[str, bool], depth: int) -> None:
    """Collect error logs, path → whether failures of requests are told there."""
    for directive in directives:
        words = arguments(directive)
        if directive.get("directive") == "error_log" and words:
            path = _path(words[0], prefix)
            if path is not None:
                level = words[1] if len(words) > 1 else "error"
                found[path] = found.get(path, False) or level in _LEVELS_WITH_FAILURES
        elif depth < DEPTH_LIMIT:
            _error_logs(below(directive), prefix, found, depth + 1)


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
        name, words = directive.get("directive"), arguments(directive)
        if name == "access_log" and words:
            path = _path(words[0], prefix)
            named = next((w for w in words[1:] if "=" not in w), "combined")
            if path is None or _is_packed(words):
                continue
            template, escape = _template(formats.get(named, ()))
            found.setdefault((path, template, escape), set()).update(sites)
        elif depth < DEPTH_LIMIT:
            inside = below(directive)
            here = sites
            if name == "server":
                names = tuple(dict.fromkeys(server_names(inside))) or ("*",)
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
    text = VARIABLE.sub("*", text)
    return text if text.startswith("/") else f"{prefix.rstrip('/')}/{text}"
