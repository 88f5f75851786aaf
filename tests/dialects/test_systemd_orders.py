"""systemd's lines about signals that somebody had it send."""

from __future__ import annotations

import pytest

from badgateway.dialects.systemd import OOM, OOMD_KILL, of_unit
from badgateway.events import KilledOnOrder, Line, Starved


def line(text: str, by_systemd: bool = True) -> Line:
    return Line(5.0, text, "journal", "app.service", manager={} if by_systemd else None)


@pytest.mark.parametrize(
    "text",
    [
        "app.service: Sent signal SIGKILL to main process 200 (sleep) on client request.",
        "app.service: Sent signal SIGTERM to process 12 (python (x)) on client request.",
        "app.service: Sent signal SIGABRT to control process 12 (sh) on client request.",
    ],
)
def test_a_signal_that_ends_processes_is_told(text: str) -> None:
    assert of_unit(line(text)) == (KilledOnOrder(5.0),)


@pytest.mark.parametrize(
    "text",
    [
        "app.service: Sent signal SIGHUP to main process 200 (gunicorn) on client request.",
        "app.service: Sent signal SIGSTOP to main process 200 (gunicorn) on client request.",
        "app.service: Killing process 12 (sh) with signal SIGKILL.",
        "app.service: Sent signal SIGKILL to main process 200 (sleep) on client request. Not",
    ],
)
def test_other_lines_are_not(text: str) -> None:
    assert of_unit(line(text)) == ()


def test_an_application_that_prints_the_same_words_is_not_believed() -> None:
    text = "app.service: Sent signal SIGKILL to main process 200 (sleep) on client request."
    assert of_unit(line(text, by_systemd=False)) == ()


@pytest.mark.parametrize("message", [OOM, OOMD_KILL])
def test_a_process_killed_for_lack_of_memory_is_told(message: str) -> None:
    text = "app.service: A process of this unit has been killed by the OOM killer."
    told = Line(5.0, text, "journal", "app.service", manager={"MESSAGE_ID": message})
    assert of_unit(told) == (Starved(5.0),)
