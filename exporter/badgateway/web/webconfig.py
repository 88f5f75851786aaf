"""``--web.config.file``: the format of Prometheus' exporter-toolkit, read strictly.

The format is that of github.com/prometheus/exporter-toolkit, docs/web-configuration.md, and so are
the rules by which a file is good or bad. Stricter than there, because a file that asks for
protection must never be served without it: a `tls_server_config` that names no certificate, a
value and its `_file` twin together, `client_allowed_sans` without a type that verifies, versions
or suites that leave nothing to speak, and unitless intervals are errors.
"""

from __future__ import annotations

import re
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import yaml

from badgateway import regularfile
from badgateway.web import yamlshape as shape
from badgateway.web.weboptions import (
    CIPHERS,
    CLIENT_AUTH,
    CURVES,
    HEADERS,
    VERIFYING,
    VERSIONS,
    RateLimit,
    Tls,
    WebConfig,
    WebConfigError,
)
from badgateway.web.yamlshape import ProblemError, Reader

SIZE_LIMIT: Final = 256 * 1024

_HTTP2_CIPHERS: Final = {
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
}

_BCRYPT: Final = re.compile(r"\$2[aby]\$(?:0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}")


def parse(text: str, name: str, directory: Path) -> WebConfig:
    """Return what ``text`` asks for.

    Args:
        text: the file's content.
        name: what problems call the file.
        directory: what relative paths are relative to.

    Raises:
        WebConfigError: all that is wrong with it.
    """
    reader = Reader(name)
    try:
        root = shape.compose(text)
        found = shape.mapping(
            reader, root, "",
            {
                "tls_server_config": lambda r, node, path: _tls(r, node, path, directory),
                "http_server_config": _http,
                "basic_auth_users": _users,
                "rate_limit": _rate_limit,
            },
        )  # fmt: skip
    except ProblemError as problem:
        raise WebConfigError(f"{name}:{problem}") from None
    http2, headers = found.get("http_server_config") or (True, {})
    tls = found.get("tls_server_config")
    if isinstance(tls, Tls) and http2 and not _speaks_http2(tls):
        reader.add(
            tls.places["cipher_suites"],
            f"HTTP/2 needs one of {', '.join(sorted(_HTTP2_CIPHERS))}; "
            "add one or set http_server_config.http2: false",
        )
    if reader.problems:
        raise WebConfigError("\n".join(reader.sorted()))
    return WebConfig(
        tls if isinstance(tls, Tls) else None,
        http2,
        headers,
        found.get("basic_auth_users") or {},
        found.get("rate_limit"),
    )


def _speaks_http2(tls: Tls) -> bool:
    """Whether Go would speak HTTP/2 with it; it refuses to start otherwise."""
    suites = set(tls.cipher_suites)
    return not suites or tls.min_version == "TLS13" or bool(suites & _HTTP2_CIPHERS)


def read(path: Path) -> WebConfig:
    """Return what the file asks for.

    Raises:
        WebConfigError: it cannot be read, or what is wrong with it.
    """
    try:
        data, _ = regularfile.read(path, SIZE_LIMIT, devices=True)
    except OSError as error:
        raise WebConfigError(f"{path}: {error.strerror}") from None
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise WebConfigError(f"{path}: not UTF-8") from None
    return parse(text, str(path), path.parent)


# -- sections


def _tls(reader: Reader, node: yaml.Node, path: str, directory: Path) -> Tls | None:
    places: dict[str, str] = {}
    given = shape.mapping(
        reader, node, path,
        {
            "cert": shape.string,
            "key": shape.string,
            "client_ca": shape.string,
            "cert_file": shape.string,
            "key_file": shape.string,
            "client_ca_file": shape.string,
            "client_auth_type": _client_auth,
            "client_allowed_sans": shape.sequence(shape.string),
            "min_version": shape.choice(VERSIONS),
            "max_version": shape.choice(VERSIONS),
            "cipher_suites": shape.sequence(shape.choice(tuple(CIPHERS))),
            "prefer_server_cipher_suites": shape.boolean,
            "curve_preferences": shape.sequence(shape.choice(tuple(CURVES))),
        },
        places,
    )  # fmt: skip
    if given is shape.NOTHING:
        return None
    here = reader.place(node, path)
    wrong = len(reader.problems)
    if not given and not places:
        return None
    for name in ("cert", "key", "client_ca"):
        if given.get(name) and given.get(f"{name}_file"):
            reader.add(places[name], f"give either `{name}` or `{name}_file`, not both")
        elif name != "client_ca" and not given.get(name) and not given.get(f"{name}_file"):
            reader.add(
                places.get(f"{name}_file") or places.get(name) or here,
                f"missing one of {name} or {name}_file",
            )
    kind = given.get("client_auth_type", "NoClientCert")
    authority = next((k for k in ("client_ca", "client_ca_file") if given.get(k)), "")
    if authority and kind == "NoClientCert":
        reader.add(places[authority], "a client CA needs a client_auth_type that uses it")
    if given.get("client_allowed_sans") and kind not in VERIFYING:
        reader.add(
            places["client_allowed_sans"],
            f"names in a certificate prove nothing unless it is verified; "
            f"client_auth_type must be one of {', '.join(VERIFYING)}",
        )
    low, high = given.get("min_version", "TLS12"), given.get("max_version", "TLS13")
    if VERSIONS.index(low) > VERSIONS.index(high):
        reader.add(
            places.get("min_version") or places["max_version"],
            f"min_version {low} is later than max_version {high}",
        )
    suites = given.get("cipher_suites", ())
    if suites and high != "TLS13" and not any(CIPHERS[suite] for suite in suites):
        reader.add(places["cipher_suites"], f"none of them can be used with {high} or earlier")
    if len(reader.problems) > wrong:
        return None
    for name in ("cert_file", "key_file", "client_ca_file"):
        if given.get(name):
            given[name] = str(directory / given[name])
    return Tls(**given, places=MappingProxyType(places))


def _client_auth(reader: Reader, node: yaml.Node, path: str) -> str:
    if isinstance(node, yaml.ScalarNode) and not node.value:
        return CLIENT_AUTH[0]
    return str(shape.choice(CLIENT_AUTH)(reader, node, path))


def _http(reader: Reader, node: yaml.Node, path: str) -> tuple[bool, dict[str, str]]:
    found = shape.mapping(reader, node, path, {"http2": shape.boolean, "headers": _headers})
    return found.get("http2", True), found.get("headers", {})


def _headers(reader: Reader, node: yaml.Node, path: str) -> dict[str, str]:
    found = shape.mapping(
        reader, node, path, {name: _header(values) for name, values in HEADERS.items()}
    )
    return {name: value for name, value in found.items() if value}


def _header(allowed: tuple[str, ...]) -> shape.Kind:
    def read_header(reader: Reader, node: yaml.Node, path: str) -> str:
        value = shape.string(reader, node, path)
        if allowed and value not in allowed:
            raise ProblemError.at(node, path, f"invalid value; allowed: {', '.join(allowed)}")
        if not value.isprintable() or not value.isascii():
            raise ProblemError.at(node, path, "a header's value is one line of printable ASCII")
        return value

    return read_header


def _users(reader: Reader, node: yaml.Node, path: str) -> dict[str, str]:
    return shape.open_mapping(reader, node, path, _hash)


def _hash(reader: Reader, node: yaml.Node, path: str) -> str:
    value = shape.string(reader, node, path)
    if ":" in path.removeprefix("basic_auth_users."):
        raise ProblemError.at(node, path, "a user's name cannot hold a colon")
    if not _BCRYPT.fullmatch(value):
        raise ProblemError.at(
            node, path, "not a bcrypt hash; make one with: htpasswd -nBC 10 \"\" | tr -d ':\\n'"
        )
    return value


def _rate_limit(reader: Reader, node: yaml.Node, path: str) -> RateLimit | None:
    found: dict[str, Any] = shape.mapping(
        reader, node, path, {"interval": shape.duration, "burst": shape.natural}
    )
    interval = found.get("interval", 0.0)
    return RateLimit(interval, found.get("burst", 0)) if interval else None
