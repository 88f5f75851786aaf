"""What systemd's lines say in a text log, as the fields that the journal has for it.

Source: the messages of systemd 219 to 257 (``src/core/unit.c``, ``src/core/service.c``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from badgateway.dialects import systemd
from badgateway.envelopes import Peeled

_EXITED: Final = re.compile(
    r"(\S{1,255}\.service): [Mm]ain process exited, code=(exited|killed|dumped), "
    r"status=(\d{1,3})(?:/|$)"
)
_DEACTIVATED: Final = re.compile(r"(\S{1,255}\.service): (?:Deactivated successfully|Succeeded)\.")
_FAILED: Final = re.compile(r"(\S{1,255}\.service): Failed with result '([a-z-]{1,40})'\.")
_START_LIMIT: Final = re.compile(
    r"(?:(\S{1,255}\.service): [Ss]tart request repeated too quickly"
    r"|start request repeated too quickly for (\S{1,255}\.service))"
)
_OOM: Final = re.compile(
    r"(\S{1,255}\.service): A process of this unit has been killed by the OOM killer\."
)
_OOMD: Final = re.compile(r"(\S{1,255}\.service): systemd-oomd killed \d{1,6} process")
_STARTED: Final = re.compile(r"Started (\S{1,255}\.service)\b")
_STOPPING: Final = re.compile(r"Stopping (\S{1,255}\.service)\b")


def manager(peeled: Peeled) -> tuple[str, Mapping[str, str]] | None:
    """Return the unit that a line of systemd is about, and the journal's fields for it.

    None when the line is not systemd's, or tells nothing of a unit's start or end.
    """
    if peeled.manager is not None:
        return peeled.writer, peeled.manager
    if peeled.writer != "systemd" or peeled.pid not in (1, None):
        return None
    if exited := _EXITED.match(peeled.text):
        return exited[1], {
            "MESSAGE_ID": systemd.PROCESS_EXITED,
            "COMMAND": "ExecStart",
            "EXIT_CODE": exited[2],
            "EXIT_STATUS": exited[3],
        }
    if failed := _FAILED.match(peeled.text):
        return failed[1], {"MESSAGE_ID": systemd.FAILED, "UNIT_RESULT": failed[2]}
    if limit := _START_LIMIT.match(peeled.text):
        return limit[1] or limit[2], {"MESSAGE_ID": systemd.START_LIMIT}
    for pattern, message in (
        (_OOM, systemd.OOM),
        (_OOMD, systemd.OOMD_KILL),
        (_DEACTIVATED, systemd.DEACTIVATED),
        (_STARTED, systemd.STARTED),
        (_STOPPING, systemd.STOPPING),
    ):
        if found := pattern.match(peeled.text):
            return found[1], {"MESSAGE_ID": message}
    return None
