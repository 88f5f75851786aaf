"""The forms an nginx access log has when nobody says which: ``combined`` and its relatives, JSON.

``combined`` is recognised with a virtual host before it and with anything after it: quoted values
nobody asked for, ``name=value`` pairs under the usual names, and ingress-nginx' own tail. JSON is
recognised by its keys. Source of ``combined``: ``ngx_http_log_module.c``; of ingress-nginx' line:
its documentation of ``log-format-upstream``; of the pairs: nginx' own examples.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

COMBINED: Final = (
    r"^(?:(?P<virtual>[^ ]++) )??(?P<remote_addr>[^ ]++) - (?:\[[^]]*+\] - )?[^[]*+"
    r"\[(?P<time_local>[^]]*+)\] "
    r'"(?P<request>[^"]*+)" (?P<status>[^ ]++) [^ ]++'
    r'(?: "[^"]*+"(?: "(?P<agent>[^"]*+)")?)?(?P<tail>(?: .*+)?)$'
)
"""``combined`` or ``common`` with what may stand around it; ``nginx_tally`` has it for bytes."""

_INGRESS: Final = re.compile(
    r"^ (?P<request_length>[0-9]+) (?P<request_time>[0-9.]+) \[(?P<proxy_host>[^\]]*)\] \[[^\]]*\] "
    r"(?P<upstream_addr>[^ ,]+(?:(?:, | : )[^ ,]+)*) "
    r"(?P<upstream_response_length>[0-9-]+(?:(?:, | : )[0-9-]+)*) "
    r"(?P<upstream_response_time>[0-9.-]+(?:(?:, | : )[0-9.-]+)*) "
    r"(?P<upstream_status>[0-9-]+(?:(?:, | : )[0-9-]+)*) (?P<request_id>[0-9a-f]+)$"
)
_PAIRS_BEGIN: Final = re.compile(r'^(?: "[^"]*+")*+ (?=(?:rt|request_time)[=:])')
_PAIR: Final = re.compile(r'([a-z_]+)[=:](?:"([^"]*+)"|([^ "]*+))(?: |$)')
_LOOSE_JSON: Final = re.compile(r'"(\w+)" ?: ?(?:"((?:[^"\\]|\\.)*+)"|([^,"{}\[\]\s]*+))')

_ALIASES: Final[Mapping[str, str]] = {
    "time": "time_iso8601", "timestamp": "time_iso8601", "@timestamp": "time_iso8601",
    "time_local": "time_local", "conn": "connection", "connection_id": "connection",
    "conn_req": "connection_requests", "req_id": "request_id", "remote": "remote_addr",
    "client": "remote_addr", "client_ip": "remote_addr", "clientip": "remote_addr",
    "remote_ip": "remote_addr", "server": "server_name", "vhost": "server_name",
    "method": "request_method", "verb": "request_method", "uri": "request_uri",
    "url_path": "request_uri", "http_status": "status", "status_code": "status",
    "response": "status", "response_code": "status",
    "completion": "request_completion", "rt": "request_time", "us": "upstream_status",
    "uct": "upstream_connect_time", "uht": "upstream_header_time", "urt": "upstream_response_time",
    "ubr": "upstream_bytes_received", "ubs": "upstream_bytes_sent",
    "ucl": "upstream_http_content_length", "url": "upstream_response_length",
    "upstream": "upstream_addr", "upstream_host": "upstream_addr",
    "user_agent": "http_user_agent", "agent": "http_user_agent", "useragent": "http_user_agent",
    "http_host": "host",
}  # fmt: skip
"""What people call nginx' variables → the variable; ``ua`` and ``url`` depend on their company."""

_OTHERS: Final = frozenset(("logger", "tsc", "OriginStatus", "response_flags"))
"""Keys of other proxies' JSON: Caddy's, HAProxy's, Traefik's, Envoy's."""

_JSON: Final = msgspec.json.Decoder(dict[str, Any])
_TAIL_LIMIT: Final = 2000
_LARGEST: Final = 1 << 64


JSON_NAMES: Final = re.compile(r"^[A-Za-z0-9_@.-]{1,64}$")


def tail(text: str) -> dict[str, str]:
    """Return the variables in what was appended to ``combined``; empty when it is not known.

    Pairs are believed only where they begin after quoted values: a bare value may be a client's.
    """
    text = text[:_TAIL_LIMIT]
    ingress = _INGRESS.match(text)
    if ingress:
        return ingress.groupdict()
    begin = _PAIRS_BEGIN.match(text)
    if begin is None:
        return {}
    found: dict[str, str] = {}
    position = begin.end()
    while pair := _PAIR.match(text, position):
        name = _name(pair[1], pairs=True)
        if name in found:
            return {}
        found[name] = pair[2] if pair[2] is not None else pair[3]
        position = pair.end()
    return found


def json_fields(text: str) -> dict[str, str] | None:
    """Return a JSON line's values under nginx' names; None when it is no log line of nginx.

    nginx itself writes invalid JSON where a value is not quoted (``009``, ``-``): what can be read
    of such a line is read.
    """
    try:
        found: dict[str, Any] = _JSON.decode(text.encode("utf-8", "surrogatepass"))
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        found = {}
        for name, quoted, bare in _LOOSE_JSON.findall(text):
            if name in found:
                return None
            found[name] = quoted or bare
    if not _OTHERS.isdisjoint(found):
        return None
    names = json_names(found)
    fields: dict[str, str] = {}
    for key, value in found.items():
        if value is not None and not isinstance(value, bool | list | dict):
            fields.setdefault(names[key], _text(value))
    return fields if "status" in fields and is_nginx(fields) else None


def _text(value: object) -> str:
    """A value as nginx would have written it; nothing for a number that it would not."""
    if isinstance(value, int) and abs(value) > _LARGEST:
        return ""
    return str(value)


def json_names(keys: Iterable[str]) -> dict[str, str]:
    """Return key → nginx' name for it, for the keys of one line."""
    keys = tuple(keys)
    short = any(key.lower() in ("us", "uct", "uht") for key in keys)
    return {key: _name(key.lower(), pairs=short) for key in keys}


def is_nginx(fields: Mapping[str, str]) -> bool:
    """Whether a JSON line has a value that nginx' logs have."""
    return any(
        name in fields
        for name in ("upstream_status", "upstream_addr", "upstream_response_time", "request_time",
                     "body_bytes_sent", "request_completion")
    )  # fmt: skip


def _name(key: str, *, pairs: bool) -> str:
    if key == "ua":
        return "upstream_addr" if pairs else "http_user_agent"
    if key == "url" and not pairs:
        return "request_uri"
    return _ALIASES.get(key, key)
