"""Where the exporter of this host keeps its state, for commands that are not the exporter."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from badgateway import state
from badgateway.cli.serve import default_storage

SHIPPED: Final = Path("/var/lib/badgateway")
"""The shipped unit's."""


def exporters_state() -> Path | None:
    """Return the state directory of this host's exporter, None where none has ever run."""
    if "STATE_DIRECTORY" not in os.environ and SHIPPED.is_dir():
        return SHIPPED
    found = default_storage()
    return found if found.is_dir() else None


def exporters_token() -> str | None:
    """Return the token that the exporter's probes carry; None for who may not read its state.

    Requests that bear it are left out of its traffic counts.
    """
    place = exporters_state()
    try:
        raw = (place / state.FILE).read_bytes() if place is not None else b""
        tokens = state.decode(raw).memory.get("tokens")
    except (OSError, ValueError):
        return None
    last = str(tokens[-1]) if isinstance(tokens, list) and tokens else ""
    return last if re.fullmatch(r"[0-9a-f]{16}", last) else None
