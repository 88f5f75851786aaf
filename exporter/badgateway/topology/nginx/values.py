"""What nginx' variables may hold: ``set``, ``map``, ``geo`` and ``split_clients``.

Pure: directives in, texts out. A variable that a program sets (Lua, JavaScript, Perl), or nginx
itself, is left as it is written.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from badgateway.topology.nginx.directives import (
    DEPTH_LIMIT,
    VARIABLE,
    Directives,
    arguments,
    below,
    place,
)

_LIMIT: Final = 1000
_FEWEST: Final = 10
_ALL: Final = 20_000

_SET: Final = ("set", "auth_request_set", "js_var")
_COMPUTED: Final = (
    "js_set", "perl_set", "set_by_lua", "set_by_lua_block", "set_by_lua_file", "set_random",
    "set_secure_random_alphanum", "set_decode_base64", "set_unescape_uri",
)  # fmt: skip
_TABLES: Final = ("map", "geo", "split_clients")
_OPTIONS: Final = {
    "map": ("hostnames", "volatile"),
    "geo": ("ranges", "proxy_recursive", "proxy", "delete"),
    "split_clients": (),
}


@dataclass(frozen=True, slots=True)
class Value:
    """A text, and where it is written (as of ``Route.place``)."""

    text: str
    place: str


Values = Mapping[str, Sequence[Value]]
"""Name of a variable → what it may hold."""


def tables(http: Directives) -> dict[str, list[Value]]:
    """Return what variables may hold that an ``http`` block defines by tables."""
    found: dict[str, list[Value]] = {}
    for directive in http:
        kind, words = str(directive.get("directive")), arguments(directive)
        if kind in _TABLES and words:
            values = found.setdefault(_name(words[-1]), [])
            for row in below(directive):
                options, given = _OPTIONS[kind], arguments(row)
                if given and str(row.get("directive")) not in options:
                    values.append(Value(given[-1], place(row)))
        else:
            _add_assigned(found, directive)
    return found


def assigned(directives: Directives, depth: int = 0) -> dict[str, list[Value]]:
    """Return what variables may hold that are set in a server, wherever in it."""
    found: dict[str, list[Value]] = {}
    for directive in directives if depth <= DEPTH_LIMIT else ():
        _add_assigned(found, directive)
        for name, values in assigned(below(directive), depth + 1).items():
            found.setdefault(name, []).extend(values)
    return found


def together(one: Values, other: Values) -> Values:
    """Return what variables may hold by either."""
    return {name: [*one.get(name, ()), *other.get(name, ())] for name in {**one, **other}}


def limit(number: int) -> int:
    """Return for how many texts each of a number of texts with variables may stand."""
    return min(_LIMIT, max(_FEWEST, _ALL // max(number, 1)))


def expanded(text: str, place: str, values: Values, most: int) -> list[Value]:
    """Return every text that one with variables may stand for.

    One that stands for too many is left, after those, as it is.

    Args:
        text: the text.
        place: where it is written.
        values: what is known of variables; what is not is left as it is.
        most: how many are too many.
    """
    found = list(itertools.islice(_expanded(Value(text, place), values, frozenset()), most + 1))
    if len(found) > most:
        found[most:] = [Value(text, place)]
    return list(dict.fromkeys(found))


def _expanded(value: Value, values: Values, used: frozenset[str]) -> Iterator[Value]:
    names = (found[1] or found[2] for found in VARIABLE.finditer(value.text))
    name = next((n for n in names if n in values and n not in used), None)
    if name is None:
        yield value
        return
    for one in values[name]:
        text = VARIABLE.sub(
            lambda found, one=one: one.text if name in (found[1], found[2]) else found[0],  # type: ignore[misc]
            value.text,
        )
        yield from _expanded(Value(text, one.place or value.place), values, used | {name})


def _add_assigned(found: dict[str, list[Value]], directive: Mapping[str, object]) -> None:
    kind, words = str(directive.get("directive")), arguments(directive)
    if kind in _SET and len(words) == 2:
        name = _name(words[0])
        # nobody passes requests to nothing: a program fills it in
        found.setdefault(name, []).append(Value(words[1] or f"${name}", place(directive)))
    elif kind in _COMPUTED and words:
        name = _name(words[0])
        found.setdefault(name, []).append(Value(f"${name}", place(directive)))


def _name(text: str) -> str:
    return text.lstrip("$").strip("{}")
