"""``badgateway deploying``: what is announced, the command it runs, and what an exporter says."""

from __future__ import annotations

import contextlib
import os
import pty
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from badgateway.announcements import Announcements
from tests.lab.require import unavailable
from tests.servers import ExporterProcess, free_port

CONFIG = """\
backends:
  - name: api
    probes: [{{name: edge, vantage: edge, url: "http://127.0.0.1:{port}/"}}]
discovery: {{enabled: false}}
probes: {{interval: 1s, timeout: 1s}}
"""
NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    directory = tmp_path / "state"
    directory.mkdir()
    return directory


def argv(state: Path, *words: str, url: str = NOBODY) -> list[str]:
    options = [f"--storage.path={state}", f"--url={url}"]
    return [sys.executable, "-m", "badgateway", "deploying", *options, *words]


def deploying(state: Path, *words: str, url: str = NOBODY) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv(state, *words, url=url), capture_output=True, text=True, timeout=30)


def left(state: Path, backend: str = "api") -> float:
    """Return for how many seconds a backend's announcement is still open."""
    now = time.time()
    found = Announcements(state / "announcements")
    found.look(now)
    told = found.open(backend, now)
    return told.until - now if told else 0.0


def test_it_announces_without_an_exporter_and_ends(state: Path) -> None:
    done = deploying(state, "api", "--for", "10m")
    assert (done.returncode, done.stdout) == (0, "")
    assert "once it runs" in done.stderr
    assert 580 < left(state) <= 600
    ended = deploying(state, "api", "--end")
    assert (ended.returncode, ended.stderr) == (0, "badgateway: ended\n")
    assert left(state) == 0
    assert "no deploy of api was announced" in deploying(state, "api", "--end").stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("api", "--for", "soon"), "--for soon: is no duration; write it like"),
        (("api", "--for", "61m"), "--for 61m: at most 1h can be announced"),
        (("api", "--for", "0s"), "--for 0s: must be longer than nothing"),
        (("a b",), "a backend's name has no spaces"),
        (("api", "--end", "--for", "5m"), "--end takes neither --for nor a command"),
        (("api", "--end", "--", "true"), "--end takes neither --for nor a command"),
        ((), "Missing argument"),
    ],
)
def test_what_cannot_be_announced_is_refused(
    state: Path, words: tuple[str, ...], said: str
) -> None:
    done = deploying(state, *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert not (state / "announcements").exists()


def test_a_directory_that_is_not_there_is_no_place_for_an_announcement(tmp_path: Path) -> None:
    done = deploying(tmp_path / "nowhere", "api")
    assert done.returncode == 2
    assert "no such directory; no exporter would see it" in done.stderr


@pytest.fixture
def open_state() -> Iterator[Path]:
    """A state directory that others may enter: pytest keeps its own folders to itself."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


def test_who_may_not_write_is_told_who_may(open_state: Path) -> None:
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        unavailable("becoming another user needs root and setpriv (Debian package util-linux)")
    state = open_state
    spool = state / "announcements"
    Announcements(spool)
    os.chown(spool, 0, 12346)
    words = argv(state, "api")
    become = ["setpriv", "--reuid=12345", "--regid=12345", "--clear-groups"]
    done = subprocess.run([*become, *words], capture_output=True, text=True, timeout=30)
    if "badgateway:" not in done.stderr:
        unavailable(f"the interpreter cannot be run by others: {done.stderr.strip()[-100:]}")
    assert done.returncode == 2
    assert (
        "Permission denied; run this as root or the exporter's user, or as a member of group"
        in (done.stderr)
    )
    member = ["setpriv", "--reuid=12345", "--regid=12345", "--groups=12346"]
    assert subprocess.run([*member, *words], capture_output=True, timeout=30).returncode == 0
    assert left(state) > 200


def test_the_commands_exit_code_and_output_are_passed_on(state: Path) -> None:
    done = deploying(state, "api", "--", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.returncode, done.stdout) == (7, "out\n")
    assert done.stderr.endswith("err\n")
    assert left(state) == 0  # a deploy that failed is over


def test_after_a_command_that_succeeded_what_it_started_has_time_to_come_up(state: Path) -> None:
    assert deploying(state, "api", "--for", "5m", "--", "true").returncode == 0
    assert 20 < left(state) <= 30
    deploying(state, "api", "--for", "10s", "--", "true")
    assert left(state) <= 10


def test_while_the_command_runs_the_announcement_is_open(state: Path) -> None:
    spool = state / "announcements"
    done = deploying(state, "api", "--", "sh", "-c", f"cat {spool}/api.json")
    assert '"backend":"api"' in done.stdout


def test_an_announcement_may_run_out_before_its_command(state: Path) -> None:
    done = deploying(state, "api", "--for", "300ms", "--", "sleep", "0.5")
    assert done.returncode == 0
    assert "had run out before its command ended" in done.stderr


def test_a_full_disk_is_told_and_does_not_keep_a_deploy_from_being_ended(state: Path) -> None:
    if os.geteuid() != 0 or not shutil.which("unshare"):
        unavailable("a file system of its own needs root and unshare (Debian package util-linux)")
    words = {
        name: shlex.join(argv(state, *more))
        for name, more in (("announce", ("api",)), ("again", ("api",)), ("end", ("api", "--end")))
    }
    script = (
        f"mount -t tmpfs -o size=32k none {state} && {words['announce']} && "
        f"dd if=/dev/zero of={state}/x bs=1k; {words['again']}; echo $?; {words['end']}; echo $?; "
        f"find {state} -name '*.json'"
    )
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, timeout=30
    )
    assert done.stdout == "2\n0\n", done.stderr
    assert f"cannot write {state}/announcements: No space left on device\n" in done.stderr
    assert done.stderr.endswith("badgateway: ended\n")


@pytest.mark.parametrize("code", [0, 1])
def test_of_two_deploys_at_once_the_first_does_not_end_the_others(state: Path, code: int) -> None:
    other = " ".join(argv(state, "api", "--for", "10m"))
    done = deploying(state, "api", "--for", "5m", "--", "sh", "-c", f"{other}; exit {code}")
    assert done.returncode == code
    assert "had been ended or replaced before its command ended" in done.stderr
    assert 580 < left(state) <= 600


def test_a_parent_that_ignores_the_end_of_its_children_keeps_nothing_open(state: Path) -> None:
    ignoring = [
        sys.executable, "-c",
        "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); "
        "os.execv(sys.argv[1], sys.argv[1:])",
    ]  # fmt: skip
    words = argv(state, "api", "--", "sh", "-c", "exit 7")
    assert (
        subprocess.run([*ignoring, *words], stderr=subprocess.DEVNULL, timeout=20).returncode == 7
    )
    assert left(state) == 0


def test_a_terminal_that_is_gone_keeps_no_command_from_running(state: Path) -> None:
    with open("/dev/full", "w") as gone:
        words = argv(state, "api", "--", "sh", "-c", "exit 7")
        assert subprocess.run(words, stderr=gone, timeout=20).returncode == 7
    assert left(state) == 0


def test_whoever_interrupts_before_the_command_begins_has_announced_nothing(state: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # an exporter that never answers
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        words = argv(state, "api", "--", "touch", str(state / "begun"), url=url)
        with subprocess.Popen(words, stderr=subprocess.DEVNULL) as running:
            waiting, _ = silent.accept()
            with waiting:
                running.send_signal(signal.SIGINT)
                assert running.wait(15) == 130
    assert left(state) == 0
    assert not (state / "begun").exists()


@pytest.mark.parametrize(("command", "code"), [("no-such-program-here", 127), ("/etc", 126)])
def test_a_command_that_cannot_be_run_ends_the_announcement(
    state: Path, command: str, code: int
) -> None:
    done = deploying(state, "api", "--", command)
    assert done.returncode == code
    assert f"badgateway: {command}: " in done.stderr
    assert left(state) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_reach_the_command(state: Path, number: signal.Signals) -> None:
    script = (
        f"trap 'echo told; exit 9' {number.name.removeprefix('SIG')}; echo ready; sleep 20 & wait"
    )
    with subprocess.Popen(
        argv(state, "api", "--", "sh", "-c", script),
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True,
    ) as running:  # fmt: skip
        try:
            assert running.stdout is not None
            assert running.stdout.readline() == "ready\n"
            running.send_signal(number)
            assert running.stdout.readline() == "told\n"
            assert running.wait(10) == 9
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)
    assert left(state) == 0


def test_a_lost_terminal_ends_the_command_and_the_announcement(state: Path) -> None:
    pid, terminal = pty.fork()  # the first process of a session, as under ssh -t
    if pid == 0:
        words = argv(state, "api", "--", "sh", "-c", f"touch {state}/begun; exec sleep 20")
        os.execv(words[0], words)
    deadline = time.monotonic() + 15
    while not (state / "begun").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.close(terminal)
    ended = 0
    while not ended and time.monotonic() < deadline:
        ended, status = os.waitpid(pid, os.WNOHANG)
        time.sleep(0.05)
    if not ended:
        os.kill(pid, signal.SIGKILL)
    assert ended
    assert os.waitstatus_to_exitcode(status) == -signal.SIGHUP
    assert left(state) == 0


def test_the_signal_that_ends_the_command_ends_this_too(state: Path) -> None:
    assert deploying(state, "api", "--", "sh", "-c", "kill -TERM $$").returncode == -signal.SIGTERM
    assert left(state) == 0


@pytest.fixture
def exporter(tmp_path: Path) -> Iterator[ExporterProcess]:
    with ExporterProcess(tmp_path, CONFIG.format(port=free_port())) as running:
        deadline = time.monotonic() + 15
        while not answer(running) and time.monotonic() < deadline:
            time.sleep(0.1)
        yield running


def answer(exporter: ExporterProcess) -> dict[str, dict[str, object]]:
    found = httpx.get(f"{exporter.url}/api/v1/diagnosis", trust_env=False).json()["backends"]
    return {backend["backend"]: backend for backend in found}


def until(exporter: ExporterProcess, cause: str, seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while True:
        found = answer(exporter)
        if "api" in found and found["api"]["diagnosis"]["name"] == cause:  # type: ignore[index]
            return
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def test_a_running_exporter_sees_shows_and_outlives_it(exporter: ExporterProcess) -> None:
    state = exporter.directory / "state"
    series = ("badgateway_deploying_until_timestamp_seconds", (("backend", "api"),))
    marker = (
        "badgateway_deploy_last_timestamp_seconds", (("backend", "api"), ("kind", "marker")),
    )  # fmt: skip
    deploy = ("badgateway_diagnosis", (("backend", "api"), ("cause", "deploying")))
    until(exporter, "undetermined")
    assert series not in exporter.scrape()
    done = deploying(state, "api", url=exporter.url)
    assert "announced: pages for api wait until" in done.stderr
    until(exporter, "deploying")
    found = exporter.scrape()
    assert found[series] == pytest.approx(time.time() + 300, abs=20)
    assert found[marker] == pytest.approx(time.time(), abs=20)
    assert found[deploy] == 1
    assert "pages are held until" in httpx.get(exporter.url, trust_env=False).text
    exporter.end(signal.SIGKILL)
    exporter.start()
    until(exporter, "deploying")
    assert exporter.scrape()[series] == found[series]
    deploying(state, "api", "--end", url=exporter.url)
    until(exporter, "undetermined")
    found = exporter.scrape()
    assert series not in found
    assert marker in found


def test_an_unknown_backend_is_announced_all_the_same_and_said(exporter: ExporterProcess) -> None:
    done = deploying(exporter.directory / "state", "apy", url=exporter.url)
    assert done.returncode == 0
    assert f"no backend `apy` is known at {exporter.url}; known: api" in done.stderr
    assert left(exporter.directory / "state", "apy") > 200


def test_an_exporter_that_looks_elsewhere_is_noticed(
    exporter: ExporterProcess, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    done = deploying(tmp_path / "other", "api", url=exporter.url)
    assert done.returncode == 0
    assert "does not see it: is its state kept elsewhere?" in done.stderr
