"""What shells, Python and container runtimes print of a server's command that is not there.

Sources: bash, dash, BusyBox' ash, coreutils' ``env``, CPython's ``runpy``, runc.
"""

from __future__ import annotations

import re
from typing import Final

from badgateway import vocabulary

_SERVER: Final = rf"(?P<server>{'|'.join(vocabulary.SERVERS)})"
_LONGEST: Final = 600
COMPLAINT: Final = re.compile("not found|o such file|No module named|ermission denied|: stat ")
"""What every such line holds; a cheap first look."""
_MISSING: Final = (
    # the shell or script, perhaps a line's number, and the command
    re.compile(
        r"(?:\S{1,200}: )?(?:line \d{1,6}: |\d{1,6}: )?(?:exec: )?"
        rf"(?:/\S{{0,200}}/)?{_SERVER}: (?:command )?not found$"
    ),
    re.compile(
        r"(?:\S{1,200}: )?(?:line \d{1,6}: |\d{1,6}: )?(?:exec:? )?"
        rf"['‘\"]?/?(?:\S{{0,200}}/)?{_SERVER}['’\"]?: "
        r"(?:cannot execute: (?:required file not found|No such file or directory)"
        r"|[Nn]o such file or directory|Permission denied|permission denied)$"
    ),
    re.compile(rf"\S{{0,200}}python[\d.]{{0,5}}: No module named {_SERVER}$"),
    re.compile(
        rf'.{{0,400}}exec: "(?:/\S{{0,200}}/)?{_SERVER}": (?:executable file not found in|stat )'
    ),
)  # fmt: skip


def missing(text: str) -> str | None:
    """Return which server could not be executed according to a line; None when it tells of none."""
    if len(text) > _LONGEST:
        return None
    found = next((found for shape in _MISSING if (found := shape.match(text))), None)
    return found["server"] if found else None
