"""uWSGI's words, and who may say them."""

from __future__ import annotations

import json

import pytest

from badgateway.dialects import Remembering, dialect
from badgateway.events import BootFailure
from tests.dialects.speaking import ends, exited, from_file, said

BORN = (
    "spawned uWSGI master process (pid: 10)",
    "spawned uWSGI worker 1 (pid: 11, cores: 1)",
    "spawned uWSGI worker 2 (pid: 12, cores: 1)",
)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("DAMN ! worker 1 (pid: 11) died, killed by signal 9 :( trying respawn ...", "sigkill"),
        ("DAMN ! worker 1 (pid: 11) died, killed by signal 11 :( trying respawn ...", "segfault"),
        ("DAMN ! worker 1 (pid: 11) died, killed by signal 7 :( trying respawn ...", "segfault"),
        ("DAMN ! worker 1 (pid: 11) died, killed by signal 15 :( trying respawn ...", "signal"),
        ("DAMN ! worker 1 (pid: 11) died :( trying respawn ...", "unknown"),
        ("*** HARAKIRI ON WORKER 1 (pid: 11, try: 1, graceful: yes) ***", "timeout"),
        ("*** HARAKIRI ON WORKER 1 (pid: 11, try: 1) ***", "timeout"),
        ("Sat Nov 21 08:24:51 2026 - *** HARAKIRI ON WORKER 1 (pid: 11) ***", "timeout"),
        ("F*CK !!! i must kill myself (pid: 11 app_id: 0)...", "timeout"),
        ("!!! uWSGI process 11 got Segmentation Fault !!!", "segfault"),
        ("... monitored exception detected, respawning worker 1 (pid: 11)...", "exit_code"),
        ("worker 1 lifetime reached, it was running for 3 second(s)", "max_lifetime"),
        ("...The work of process 11 is done. Seeya!", "max_requests"),
        ("worker 1 (pid: 11) is taking too much time to die...NO MERCY !!!", "stop_timeout"),
        ("uWSGI worker 1 cheaped.", "scale_down"),
    ],
)
def test_a_worker_ends_once_with_its_reason(line: str, reason: str) -> None:
    after = "DAMN ! worker 1 (pid: 11) died, killed by signal 9 :( trying respawn ..."
    again = "Respawned uWSGI worker 1 (new pid: 13)"
    assert ends(from_file("uwsgi", *BORN, line, after, again)) == [("worker", reason, 11)]
    assert ends(from_file("uwsgi", line))[:1] in ([("worker", reason, 11)], [])


def test_workers_that_stop_with_their_server_do_so_by_number() -> None:
    stop = ("SIGINT/SIGTERM received...killing workers...", "worker 1 buried after 1 seconds",
            "worker 2 buried after 1 seconds", "goodbye to uWSGI.")  # fmt: skip
    assert ends(from_file("uwsgi", *BORN, *stop)) == [
        ("worker", "stop", 11), ("worker", "stop", 12), ("server", "stop", None),
    ]  # fmt: skip
    reload = ("...gracefully killing workers...", "worker 1 buried after 1 seconds")
    assert ends(from_file("uwsgi", *BORN, *reload)) == [("worker", "reload", 11)]


def test_a_brutal_reload_is_no_reason_of_a_workers() -> None:
    brutal = ("...brutally killing workers...", "worker 1 buried after 1 seconds",
              "binary reloading uWSGI...", *BORN[1:])  # fmt: skip
    assert ends(from_file("uwsgi", *BORN, *brutal)) == []


def test_workers_that_lost_their_master_tell_that_it_is_gone() -> None:
    lost = "uWSGI worker {} error: the master disconnected from this worker. Shutting down the wor"
    assert ends(from_file("uwsgi", *BORN, lost.format(1), lost.format(2))) == [
        ("worker", "orphaned", 11), ("server", "unknown", None), ("worker", "orphaned", 12),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["bind(): Address already in use [core/socket.c line 769]"], "bind_failure"),
        (["bind(): Permission denied [core/socket.c line 230]"], "bind_failure"),
        (["/srv/bin/uwsgi: unrecognized option '--keepalive'", "getopt_long() error"], "usage"),
        (["unable to load app 0 (mountpoint='') (callable not found or import error)",
          "*** no app loaded. GAME OVER ***"], "boot_failure"),
    ],
)  # fmt: skip
def test_a_start_that_fails_is_told_once(lines: list[str], reason: str) -> None:
    started = "*** Starting uWSGI 2.0.31 (64bit) on [Sat Nov 21 08:25:20 2026] ***"
    assert ends(from_file("uwsgi", started, *lines)) == [("server", reason, None)]


def test_an_application_that_does_not_load_is_named_though_uwsgi_serves_on() -> None:
    events = from_file(
        "uwsgi", "Traceback (most recent call last):", '  File "/srv/app.py", line 1, in <module>',
        "    import slowapi", "ModuleNotFoundError: No module named 'slowapi'",
        "unable to load app 0 (mountpoint='') (callable not found or import error)",
        "*** no app loaded. going in full dynamic mode ***",
    )  # fmt: skip
    (failure,) = events
    assert isinstance(failure, BootFailure)
    assert (failure.module, failure.role) == ("slowapi", "server")


FORGED = (
    "DAMN ! worker 1 (pid: 11) died, killed by signal 9 :( trying respawn ...",
    "*** HARAKIRI ON WORKER 1 (pid: 11, try: 1, graceful: yes) ***",
    "...The work of process 11 is done. Seeya!", "SIGINT/SIGTERM received...killing workers...",
    "worker 1 lifetime reached, it was running for 3 second(s)", "goodbye to uWSGI.",
    "!!! uWSGI process 11 got Segmentation Fault !!!", "worker 1 buried after 1 seconds",
    "bind(): Address already in use [core/socket.c line 769]", "*** no app loaded. GAME OVER ***",
    "spawned uWSGI master process (pid: 10)", "Respawned uWSGI worker 1 (new pid: 99)",
)  # fmt: skip


def test_a_worker_does_not_speak_for_its_master_or_its_sibling() -> None:
    reader = dialect("uwsgi")
    said(reader, 10, *BORN)
    assert ends(said(reader, 12, *FORGED)) == []
    assert ends(exited(reader, "killed", "9")) == [("server", "sigkill", 10)]


def test_in_a_file_only_workers_that_were_born_end() -> None:
    forged = "DAMN ! worker 1 (pid: 1) died, killed by signal 9 :( trying respawn ..."
    assert ends(from_file("uwsgi", *BORN, forged)) == []


def test_the_master_is_remembered() -> None:
    before = dialect("uwsgi")
    said(before, 10, *BORN)
    after = dialect("uwsgi")
    assert isinstance(before, Remembering)
    assert isinstance(after, Remembering)
    after.recall(json.loads(json.dumps(before.memory())))
    assert ends(said(after, 12, FORGED[0])) == []
    assert ends(said(after, 10, FORGED[0])) == [("worker", "sigkill", 11)]
