"""One file of nginx' configuration: words as ``crossplane`` reads them, brought into directives.

``crossplane``'s own parser takes a statement that a ``}`` ends for a whole one, loses what follows
an open quotation mark, and opens files by name; here each is told with its line.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, Final

import crossplane
from crossplane.analyzer import DIRECTIVES
from crossplane.errors import NgxParserBaseException
from crossplane.ext.lua import LuaBlockPlugin
from crossplane.lexer import register_external_lexer

Directive = dict[str, Any]
Problem = tuple[int, str]
"""Line, and what is wrong there."""

_END: Final = "badgateway_end_of_file"
_BOM: Final = b"\xef\xbb\xbf"
_PLAIN: Final = ("listen", "location", "return", "root", "server")
_STATEMENTS: Final = frozenset(name for name in DIRECTIVES if "_" in name or name in _PLAIN)
"""Names of directives that nobody takes for a value."""

register_external_lexer(
    # those that lua-nginx-module has got since
    directives=[
        f"{name}_by_lua_block"
        for name in (
            "exit_worker", "precontent", "preread", "proxy_ssl_certificate", "proxy_ssl_verify",
            "server_rewrite", "ssl_client_hello",
        )
    ],
    lexer=LuaBlockPlugin().lex,
)  # fmt: skip


def parse(content: bytes, path: str) -> tuple[list[Directive], list[Problem]]:
    """Return a file's directives, and what nginx would not read in it.

    Each directive is a mapping with ``directive``, ``args``, ``line``, ``file`` and, where it has
    one, ``block``. What stands before a fault is read, and after it as far as that makes sense.

    Args:
        content: the file's bytes.
        path: its name, for ``file``.
    """
    problems: list[Problem] = []
    if b"\0" in content:
        return [], [(content[: content.index(b"\0")].count(b"\n") + 1, "not text")]
    if content.startswith(_BOM):
        problems.append((1, "begins with a byte order mark, which nginx takes for a word"))
        content = content.removeprefix(_BOM)
    last = content.count(b"\n") + (not content.endswith(b"\n"))
    top: list[Directive] = []
    open_blocks: list[list[Directive]] = [top]
    words: list[tuple[str, int]] = []
    line, ended = 1, False
    try:
        for text, line, quoted in _tokens(content):
            if quoted or text not in ("{", ";", "}"):
                if quoted or not text.startswith("#"):
                    words += [(text, line)]
                    problems += _swallowed(words, quoted)
                continue
            if words and words[-1][0] == _END and words[-1][1] > last:
                ended = True
                if words := words[:-1]:
                    problems.append((last, f"{_name(words)} has no end: a `;` is missing"))
                    open_blocks[-1].append(_directive(words, path))
                if len(open_blocks) > 1:
                    problems.append((last, "ends within a block: a `}` is missing"))
                break
            if text == "}":
                if words:
                    problems.append((line, f"{_name(words)} is not ended by a `;`"))
                    open_blocks[-1].append(_directive(words, path))
                open_blocks.pop()
            elif not words:
                problems.append((line, f"unexpected `{text}`"))
                if text == "{":
                    open_blocks.append([])
            else:
                directive = _directive(words, path)
                open_blocks[-1].append(directive)
                if text == "{":
                    directive["block"] = []
                    open_blocks.append(directive["block"])
            words = []
    except NgxParserBaseException as error:
        # an end that comes before ours was lost in a quotation
        if not str(error.strerror).startswith("unexpected end of file"):
            problems.append((min(error.lineno or last, last), str(error.strerror)))
            ended = True
    if not ended:
        problems.append((min(line, last), "a quotation or Lua that begins after here never ends"))
    return top, problems


def _tokens(content: bytes) -> Iterator[tuple[str, int, bool]]:
    """What ``crossplane`` reads in it, and an end to know that nothing was lost."""
    handle = os.memfd_create("nginx", os.MFD_CLOEXEC)
    with open(handle, "wb") as file:
        file.write(content + f"\n{_END};\n".encode())
        file.flush()
        yield from crossplane.lex(f"/proc/self/fd/{handle}")


def _swallowed(words: list[tuple[str, int]], quoted: bool) -> Iterator[Problem]:
    """Tell when the last word, the first of its line, is a directive that another took in."""
    if quoted or len(words) < 2:
        return
    (text, line), (_, before) = words[-1], words[-2]
    if line > before and text in _STATEMENTS:
        yield line, f"`{text}` is taken for a word of {_name(words)}: a `;` is missing before it"


def _directive(words: list[tuple[str, int]], path: str) -> Directive:
    name, line = words[0]
    return {"directive": name, "args": [text for text, _ in words[1:]], "line": line, "file": path}


def _name(words: list[tuple[str, int]]) -> str:
    """How a statement is called; by its own name only if that is one, and no piece of a secret."""
    return f"`{words[0][0]}`" if words[0][0] in DIRECTIVES else "a statement"
