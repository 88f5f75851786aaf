"""What is wrong with configured probes although each value fits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from badgateway.config import addresses
from badgateway.config.findings import Finding, Steps
from badgateway.config.probeschema import Authorization, BasicAuth, Probe
from badgateway.config.schema import Backend, Config
from badgateway.config.values import CONTROL

DEFAULT_NAME: Final = re.compile(r"(origin|proxy)(-[0-9]+)?", re.ASCII)
"""Names of the probes that nobody has to configure: their vantage."""

# RFC 9110's token
_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)

_OWN_HEADERS: Final = frozenset(
    ("user-agent", "referer", "connection", "content-length", "transfer-encoding", "upgrade", "te",
     "trailer")
)  # fmt: skip
"""Headers that belong to the exporter: by the first two its probes are told from traffic."""


def check_probes(steps: Steps, backend: Backend, config: Config) -> Iterator[Finding]:
    """Yield what is wrong with a backend's probes; ``steps`` lead to the backend."""
    names: dict[str, int] = {}
    for number, probe in enumerate(backend.probes):
        here = (*steps, "probes", number)
        if names.setdefault(probe.name, number) != number:
            what = f"is the name of probes[{names[probe.name]}] of this backend already"
            yield Finding(here, ("name",), what)
        implied = DEFAULT_NAME.fullmatch(probe.name)
        if implied and implied[1] != probe.vantage and config.probes.default:
            what = f"is a default probe's name; choose another, or `vantage: {implied[1]}`"
            yield Finding(here, ("name",), what, ("vantage",))
        yield from _probe(here, probe)


def _probe(steps: Steps, probe: Probe) -> Iterator[Finding]:
    if probe.url.startswith("unix:"):
        problem = "must begin with http:// or https://; give a socket as an upstream"
    else:
        problem = addresses.url_problem(probe.url, "use `basic_auth` instead")
    if problem:
        yield Finding(steps, ("url",), problem)
    if probe.expect.body == "":
        yield Finding((*steps, "expect"), ("body",), "must not be empty")
    yield from _headers(steps, probe)
    if probe.basic_auth is not None:
        yield from _basic_auth((*steps, "basic_auth"), probe.basic_auth)
    if probe.authorization is not None:
        yield from _authorization((*steps, "authorization"), probe.authorization)


def _headers(steps: Steps, probe: Probe) -> Iterator[Finding]:
    seen: dict[str, str] = {}
    for key in ("basic_auth", "authorization"):
        if getattr(probe, key) is not None:
            if "authorization" in seen:
                what = f"is set by `{seen['authorization']}` already: give one of the two"
                yield Finding(steps, (key,), what)
            seen.setdefault("authorization", key)
    for key, names in (("headers", probe.headers), ("headers_file", probe.headers_file)):
        for name in names:
            problem = ""
            if not _HEADER.fullmatch(name):
                problem = "is no name of a header"
            elif name.lower() in _OWN_HEADERS:
                problem = "is set by the exporter itself"
            elif name.lower() in seen:
                problem = f"is set by `{seen[name.lower()]}` already"
            seen.setdefault(name.lower(), key)
            if problem:
                yield Finding(steps, (key, name), problem)


def _basic_auth(steps: Steps, given: BasicAuth) -> Iterator[Finding]:
    if ":" in given.username or CONTROL.search(given.username) or not given.username:
        yield Finding(steps, ("username",), "must not be empty nor hold a colon or a line end")
    if (given.password is None) == (given.password_file is None):
        keys = ("password", "password_file")
        yield Finding(steps, (), "give either `password` or `password_file`", keys)


def _authorization(steps: Steps, given: Authorization) -> Iterator[Finding]:
    if given.type.lower() == "basic":
        yield Finding(steps, ("type",), "basic authentication has its own key, `basic_auth`")
    if (given.credentials is None) == (given.credentials_file is None):
        keys = ("credentials", "credentials_file")
        yield Finding(steps, (), "give either `credentials` or `credentials_file`", keys)
