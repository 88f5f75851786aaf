"""Configurations that are templates still: something has to be filled in before a proxy reads them.

Pure. Only what no proxy could read, or mean, makes a file a template: nginx itself has ``$name``
and ``${name}``, Caddy ``{name}``, ``{$NAME}`` and ``{{ }}`` in texts.
"""

from __future__ import annotations

import itertools
import re
from typing import Final

_COMMENT: Final = re.compile(
    r"(\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*')|(?:^|(?<=[\s;{}]))#[^\n]*", re.S
)
_QUOTED: Final = re.compile(r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'", re.S)
_LUA: Final = re.compile(r"_by_lua(?:_block)?\b")
_SWITCH: Final = re.compile(r"^[ \t]*#[ \t]*@(?:if|ifdef|elif|else|endif|end)\b", re.M)
_OCTOPUS: Final = re.compile(r"#\{[A-Za-z_][\w.\[\]-]{0,99}\}")
_ADDRESS: Final = re.compile(
    # directives whose words name something: what stands there in quotation marks is no text
    r"^[ \t]*(?:server_name|listen|server|upstream|root|include|ssl_certificate(?:_key)?"
    r"|worker_processes|(?:proxy|fastcgi|uwsgi|scgi|grpc)_pass|reverse_proxy|resolver)\b.*$",
    re.M,
)
_FIXED: Final = re.compile(
    # those that take no variable of nginx' own
    r"^[ \t]*(?:listen|upstream|worker_processes|server(?=\s+[^\s{])|resolver)\s"
    r"[^;\n]*?\$\{?[A-Za-z_]",
    re.M,
)
_STATEMENT: Final = re.compile(
    r"^[ \t]*\$(?:\{[A-Za-z_]\w*\}|[A-Z_][A-Z0-9_]*)[ \t]*;?[ \t]*$", re.M
)
_DOLLAR: Final = re.compile(r"(?<![\\$\w])\$(?:\{([A-Z][A-Z0-9_]*)\}|([A-Z][A-Z0-9_]+))(?!\w)")
_DEFINED: Final = re.compile(
    r"\?P?<([A-Z]\w*)>|\b(?:map|geo|split_clients|set|js_set|js_var|perl_set|auth_request_set"
    r"|set_by_lua\w{0,9})\s[^;{}\n$]{0,99}(?:\$\{?\w+\}?\s+)??\$([A-Z]\w*)"
)
_LOOKED_AT: Final = 10_000
_NAMES: Final = 200
_MUSTACHE: Final = re.compile(
    # its `#` would begin a comment
    r"^(?![ \t]*#)[^\n]{0,500}?\{\{[#/^&>]\s{0,9}[\w.]{1,99}\s{0,9}\}\}",
    re.M,
)
_KINDS: Final = (
    ("Helm", re.compile(r"\{\{-?\s{0,9}`")),
    ("Helm", re.compile(r"\{\{[^{}\n]{0,300}\.(?:Values|Release|Chart|Capabilities|Files)\b")),
    ("Jinja", re.compile(r"\{%[-+]?\s{0,9}[a-z]+\b")),
    (
        "Go template",
        re.compile(
            r"\{\{-?\s{0,9}(?:\.|\$|/\*|(?:if|range|end|with|else|define|template|include|block"
            r"|printf|tpl|env|key|keyOrDefault|secret|service|getenv|getv|var|file)\b(?!\s*\|))"
            r"[^{}]{0,300}\}\}"
        ),
    ),
    ("Jinja", re.compile(r"\{\{-?\s{0,9}[A-Za-z_(][^{}\n]{0,300}\}\}")),
    ("ERB", re.compile(r"<%[-=#]?\s*\S")),
    (
        "Terraform",
        re.compile(
            r"(?<!\$)\$\{[a-z_]{1,99}\.[\w.\[\]\"*]{1,99}\}|%\{\s{0,9}(?:if|for|endif|endfor)\b"
        ),
    ),
    ("envsubst", re.compile(r"\$\{\w{1,99}:?[-?+=][^}\n]{0,300}\}")),
    ("__X__", re.compile(r"(?:(?<![\w/])|(?<=//))__[A-Z](?:_?[A-Z0-9]){0,60}__(?!\w)")),
    ("@X@", re.compile(r"(?<![\w@])@@?[A-Z][A-Z0-9_]{0,99}@@?(?!\w)")),
    ("%%X%%", re.compile(r"%%[A-Za-z_]\w{0,99}%%")),
    (
        "<X>",
        re.compile(
            r"^[ \t]*(?:server_name|listen|server|\w+_pass)\s[^;{}\"'\n]{0,200}?"
            r"(?<!\?)(?<!\?P)<[A-Za-z][\w .-]{0,99}>",
            re.M,
        ),
    ),
)


def template_of(text: str) -> str:
    """Return the kind of template that a configuration of nginx is; empty for none.

    Args:
        text: the file.

    Returns:
        ``Jinja``, ``Go template``, ``Helm``, ``Mustache``, ``ERB``, ``Terraform``, ``envsubst``,
        ``#@if`` (comments that switch lines), ``#{X}``, ``__X__``, ``@X@``, ``%%X%%`` or ``<X>``.
    """
    if _SWITCH.search(text):
        return "#@if"
    if _OCTOPUS.search(text):
        return "#{X}"
    bare = _COMMENT.sub(lambda found: found[1] or "", text)
    addresses = "\n".join(found[0] for found in _ADDRESS.finditer(bare))
    if _LUA.search(bare):
        bare = ""  # a program: its braces and names are its own
    if _MUSTACHE.search(text):
        return "Mustache"
    unquoted = _QUOTED.sub(_blank, bare)
    searched = f"{unquoted}\n{addresses}"
    for kind, pattern in _KINDS:
        if pattern.search(searched):
            return kind
    if _STATEMENT.search(unquoted) or _FIXED.search(addresses) or _has_unset(bare):
        return "envsubst"
    return ""


def _blank(found: re.Match[str]) -> str:
    return "\n" * found[0].count("\n") + '""'


def _has_unset(bare: str) -> bool:
    """Whether it has a variable in capitals that it defines nowhere."""
    used = (found[1] or found[2] for found in _DOLLAR.finditer(bare))
    names = list(itertools.islice(dict.fromkeys(itertools.islice(used, _LOOKED_AT)), _NAMES))
    defined = {found[1] or found[2] for found in _DEFINED.finditer(bare)}
    return any(name not in defined for name in names)
