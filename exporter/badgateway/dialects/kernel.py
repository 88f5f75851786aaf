"""What the kernel says of processes that it killed (Linux 3.10 to 6.18).

Sources: ``mm/oom_kill.c`` (``oom-kill:constraint=…`` since 4.19, ``Killed process`` since ever),
``arch/x86/mm/fault.c`` (``segfault at``), ``arch/x86/kernel/traps.c`` (``traps:``). One process'
end is one event, at the first line that names it. A name is what the process calls itself. Only
lines that the kernel wrote are read: in an application's log they are somebody's print.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import ClassVar, Final

from badgateway.dialects import systemd
from badgateway.events import Event, Line, ProcessKilled

_CLOCK: Final = r"(?:\[ {0,12}\d{1,12}\.\d{1,9}\] )?"
_VICTIM: Final = re.compile(
    r"^oom-kill:constraint=\w{1,64},.{0,4000}?,task_memcg=(?P<cgroup>[^,]{1,400}),"
    r"task=(?P<name>.{1,64}),pid=(?P<pid>\d{1,10}),uid=\d+"
)
_KILLED: Final = re.compile(
    r"^(?:(?:Memory cgroup out of memory|Out of memory)(?: \([^)]{1,64}\))?: )?"
    r"Killed process (?P<pid>\d{1,10})(?:, UID \d+,)? \((?P<name>.{0,64}?)\),? (?:, UID|total-vm:)"
)
_REAPED: Final = re.compile(r"^oom_reaper: reaped process (?P<pid>\d{1,10}) \((?P<name>.{0,64}?)\)")
_SEGFAULT: Final = re.compile(
    r"^(?P<name>.{1,64}?)\[(?P<pid>\d{1,10})\]: (?:segfault at |unhandled signal (?:11|7) )"
)
_TRAP: Final = re.compile(
    r"^traps: (?P<name>.{1,64}?)\[(?P<pid>\d{1,10})\] (?:general protection|trap [a-z ]{3,40}) "
)
_UNDERSTOOD: Final = re.compile(
    r"^.{1,64} invoked oom-killer: |^Out of memory: Kill process \d|^Memory cgroup out of memory: "
    r"|^Tasks in \S+ are going to be killed|^Task in \S+ killed as a result of limit"
)
_SAME: Final = 60.0
"""Seconds within which lines about one process are about one end."""
_KEPT: Final = 256


class Reader:
    """Reads the kernel's lines, and systemd's about the OOM killer."""

    NAME: ClassVar[str] = "kernel"
    SIGNATURE: ClassVar[re.Pattern[str]] = re.compile(
        rf"^{_CLOCK}(?:oom-kill:constraint=|(?:Memory cgroup out of memory|Out of memory)\b"
        r".{0,70}: Kill(?:ed)? process \d|Killed process \d{1,10}.{1,90}total-vm:"
        r"|oom_reaper: reaped process "
        r"|[^\[\]]{1,64}\[\d{1,10}\]: segfault at |traps: [^\[\]]{1,64}\[\d{1,10}\] "
        r"|.{1,64} invoked oom-killer: gfp_mask=)"
    )

    def __init__(self) -> None:
        self._told: OrderedDict[int, float] = OrderedDict()
        self._clock = re.compile(f"^{_CLOCK}")

    def read(self, line: Line) -> tuple[Event, ...] | None:
        """Return which process a line of the kernel's says was killed."""
        if line.manager is not None:
            if not systemd.tells_of_oom(line):
                return ()
            return (ProcessKilled(line.at, "oom", None, "", line.unit or "", line.text[:300]),)
        if line.unit not in (None, "kernel") or line.pid is not None:
            return None
        text = self._clock.sub("", line.text, count=1)
        for pattern in (_VICTIM, _KILLED, _REAPED):
            if killed := pattern.match(text):
                return self._killed(line, "oom", killed, text)
        for pattern in (_SEGFAULT, _TRAP):
            if crashed := pattern.match(text):
                return self._killed(line, "segfault", crashed, text)
        return () if _UNDERSTOOD.match(text) else None

    def _killed(
        self, line: Line, reason: str, found: re.Match[str], text: str
    ) -> tuple[Event, ...]:
        pid = int(found["pid"])
        before = self._told.get(pid)
        if before is not None and abs(line.at - before) <= _SAME:
            return ()
        self._told[pid] = line.at
        self._told.move_to_end(pid)
        while len(self._told) > _KEPT:
            self._told.popitem(last=False)
        cgroup = found.groupdict().get("cgroup") or ""
        return (ProcessKilled(line.at, reason, pid, found["name"][:16], cgroup, text[:300]),)
