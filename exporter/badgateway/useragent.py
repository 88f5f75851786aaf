"""How the exporter's own probes identify themselves, and how their log lines are recognised.

The User-Agent carries a random token of this process; a client that does not know it cannot have
its requests left out of the counts. So does the Referer: nginx' error log tells no User-Agent.
"""

from __future__ import annotations

import re
import secrets
from typing import Final

from badgateway import __version__

_PATTERN: Final = re.compile(r"^badgateway/[0-9][\w.+-]* \(probe ([0-9a-f]{16})\)$")

_REFERER: Final = re.compile(r"^badgateway:probe:([0-9a-f]{16})$")


def new_token() -> str:
    """Return a fresh token, 16 hexadecimal digits."""
    return secrets.token_hex(8)


def user_agent(token: str) -> str:
    """Return the User-Agent of this exporter's probes."""
    return f"badgateway/{__version__} (probe {token})"


def referer(token: str) -> str:
    """Return the Referer of this exporter's probes (a URI, RFC 3986)."""
    return f"badgateway:probe:{token}"


def referer_token(text: str) -> str | None:
    """Return the token in a Referer, or None when it is no probe's."""
    match = _REFERER.match(text)
    return match[1] if match else None


def probe_token(agent: str) -> str | None:
    """Return the token in a User-Agent, or None when it is no probe's."""
    match = _PATTERN.match(agent)
    return match[1] if match else None
