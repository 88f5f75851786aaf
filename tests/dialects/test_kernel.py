"""The kernel's word about processes that it killed."""

from __future__ import annotations

import pytest

from badgateway.dialects import dialect, systemd
from badgateway.events import Event, Line, ProcessKilled
from tests.fuzz.targets import KERNEL


def read(*texts: str, unit: str | None = None, pid: int | None = None) -> list[Event]:
    reader = dialect("kernel")
    lines = [Line(1.0, text, "journal", unit, pid) for text in texts]
    return [event for line in lines for event in reader.read(line) or ()]


def killed(events: list[Event]) -> list[tuple[str, int | None, str, str]]:
    return [(e.reason, e.pid, e.name, e.cgroup) for e in events if isinstance(e, ProcessKilled)]


def test_one_killed_process_is_one_event_with_its_group() -> None:
    assert killed(read(*KERNEL[:4])) == [("oom", 274, "gunicorn", "/system.slice/a.service")]
    assert killed(read(*KERNEL)) == [
        ("oom", 274, "gunicorn", "/system.slice/a.service"), ("segfault", 25354, "gunicorn", ""),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Out of memory: Killed process 9 (python3) total-vm:1kB, anon-rss:1kB", "oom"),
        ("Killed process 9 (python3) total-vm:1kB, anon-rss:1kB, file-rss:0kB", "oom"),
        ("[  122.297601] Memory cgroup out of memory: Killed process 9 (python3) total-vm:1kB, a",
         "oom"),
        ("oom_reaper: reaped process 9 (python3), now anon-rss:0kB, file-rss:0kB", "oom"),
        ("python3[9]: segfault at 8 ip 00007f sp 00007f error 6 in x.so[7f+1]", "segfault"),
        ("traps: python3[9] general protection fault ip:7f sp:7f error:0 in x.so[7f+1]",
         "segfault"),
        ("traps: python3[9] trap invalid opcode ip:7f sp:7f error:0 in x.so[7f+1]", "segfault"),
    ],
)  # fmt: skip
def test_each_form_names_the_process(line: str, expected: str) -> None:
    assert killed(read(line)) == [(expected, 9, "python3", "")]
    assert killed(read(line, unit="kernel")) == [(expected, 9, "python3", "")]


def test_a_victim_that_may_be_another_is_not_told() -> None:
    chosen = "Out of memory: Kill process 8 (python3) score 900 or sacrifice child"
    assert read(chosen) == []
    done = "Killed process 9 (python3) total-vm:1kB, anon-rss:1kB, file-rss:0kB"
    assert [pid for _, pid, _, _ in killed(read(chosen, done))] == [9]


@pytest.mark.parametrize("line", KERNEL)
def test_what_others_print_tells_nothing(line: str) -> None:
    assert read(line, unit="api.service", pid=9) == []
    assert read(line, unit="api.service") == []
    assert read(line, pid=9) == []


def test_systemd_tells_of_a_unit() -> None:
    line = Line(
        1.0, "A process of this unit has been killed by the OOM killer.", "journal", "a.service",
        1, "inv", {"MESSAGE_ID": systemd.OOM},
    )  # fmt: skip
    (event,) = dialect("kernel").read(line) or ()
    assert isinstance(event, ProcessKilled)
    assert (event.reason, event.pid, event.cgroup) == ("oom", None, "a.service")
