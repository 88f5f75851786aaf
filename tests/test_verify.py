"""``badgateway verify``: what counts as having come up, and what it says of what has not."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from badgateway.cli.observing import code_changed
from badgateway.collectors.service_tracker import ServiceState
from badgateway.events import WorkerEnd
from badgateway.verification import Observation, Shot, Verification, obstacles
from tests.diagnosis.builders import NOW, REPORT, UP, healthy
from tests.servers import ExporterProcess, free_port, serving

CONFIG = """\
backends:
  - name: api
    probes: [{{name: edge, vantage: edge, url: "http://127.0.0.1:{port}/"}}]
discovery: {{enabled: false}}
"""


def shot(at: float, ok: bool = True, probe: str = "edge") -> Shot:
    return Shot(probe, probe, "http://site/", at, ok, "200" if ok else "502")


def observe(
    seen: Verification,
    seconds: int,
    begun: int = 0,
    ok: Callable[[int], bool] = lambda second: True,
    process: str = "one",
    against: tuple[str, ...] = (),
) -> bool:
    """Look once a second; return whether it had passed at any time."""
    passed = False
    for second in range(begun, begun + seconds):
        shots = (shot(second, ok(second)), shot(second, True, "origin"))
        seen.take(Observation(second, shots, process, against))
        passed = passed or seen.passed
    return passed


def test_what_has_not_been_looked_at_is_not_verified_and_costs_no_time_afterwards() -> None:
    seen = Verification()
    for second in range(9):
        shots = (shot(second), shot(second, True, "origin"))
        seen.take(Observation(second, shots, "one", (), "its code has not been looked at yet"))
    assert not seen.passed
    assert seen.undecided
    assert seen.reasons == ("its code has not been looked at yet",)
    assert observe(seen, 1, 9)


def test_what_goes_on_answering_passes_after_some_seconds() -> None:
    seen = Verification()
    assert not observe(seen, 5)
    assert seen.undecided
    assert observe(seen, 2, 5)
    assert seen.reasons == ()


def test_one_answer_in_between_is_not_enough() -> None:
    seen = Verification()
    assert not observe(seen, 40, ok=lambda second: second % 4 != 0)
    assert observe(seen, 10, 41)


def test_a_probe_that_was_not_asked_anew_counts_once() -> None:
    seen = Verification()
    for second in range(20):
        seen.take(Observation(second, (shot(0.5),), "one"))
    assert not seen.passed
    assert seen.count(shot(0.5)) == 1


def test_a_restart_begins_anew_and_is_told() -> None:
    seen = Verification()
    for number in range(10):
        assert not observe(seen, 4, 4 * number, process=f"pid {number}")
    assert any("restarted 9 times" in reason for reason in seen.reasons)
    assert observe(seen, 8, 40, process="pid 9")


def test_an_obstacle_is_the_first_reason() -> None:
    seen = Verification()
    assert not observe(seen, 20, against=("api is doomed",))
    assert seen.reasons == ("api is doomed",)
    assert not seen.undecided


def test_without_anything_to_ask_nothing_passes() -> None:
    seen = Verification()
    for second in range(20):
        seen.take(Observation(second, (), "one"))
    assert not seen.passed


def test_a_service_that_systemd_had_to_start_again_must_live_for_longer() -> None:
    def against(started: float, restarts: int) -> tuple[str, ...]:
        service = replace(UP, started=NOW - started, restarts=restarts)
        return obstacles(healthy(service=service), "none", "", NOW - 60, 0, 0)

    assert against(3, 0) == ()
    assert "start it again 2 times" in against(3, 2)[0]
    assert against(25, 2) == ()


def test_workers_that_died_meanwhile_count_and_recycled_ones_do_not() -> None:
    def against(reason: str, ago: float) -> tuple[str, ...]:
        ends = (WorkerEnd(NOW - ago, "gunicorn", reason, 7),)
        return obstacles(healthy(worker_ends=ends), "none", "", NOW - 30, 0, 0)

    assert "died" in against("segfault", 5)[0]
    assert against("max_requests", 5) == ()
    assert against("segfault", 25) == ()  # it has recovered
    assert against("segfault", 40) == ()  # before the deploy


def test_a_service_that_does_not_run_is_an_obstacle() -> None:
    stopped = healthy(service=ServiceState(active="inactive"))
    assert obstacles(stopped, "none", "", NOW, 0, 0) == ("api.service is inactive",)


def test_old_code_that_still_serves_is_an_obstacle() -> None:
    (told,) = obstacles(healthy(), "none", "", NOW, NOW - 10, NOW - 100)
    assert "90 s older than the code on disk; systemctl restart api.service" in told
    assert obstacles(healthy(), "none", "", NOW, NOW - 100, NOW - 10) == ()
    assert obstacles(healthy(), "none", "", NOW, NOW - 10, 0) == ()


def test_only_the_projects_own_modules_are_its_code(tmp_path: Path) -> None:
    module, library = tmp_path / "api" / "main.py", tmp_path / ".venv" / "lib.py"
    for file in (module, library, tmp_path / "pyproject.toml"):
        file.parent.mkdir(exist_ok=True)
        file.write_text("")
    watch = (str(module), str(library), str(tmp_path / "pyproject.toml"), str(tmp_path / "gone.py"))
    values = {name: getattr(REPORT, name) for name in REPORT.__struct_fields__}
    report = type(REPORT)(
        **values | {"project": str(tmp_path), "virtualenv": str(tmp_path / ".venv"), "watch": watch}
    )
    assert code_changed(report) == module.stat().st_mtime
    assert code_changed(None) == 0


@contextmanager
def site(status: Callable[[int], int]) -> Iterator[int]:
    """A site on loopback whose n-th answer has the status that ``status`` says; yields its port."""
    asked: list[float] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(time.monotonic())
            self.send_response(status(len(asked)))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    with serving(server) as port:
        yield port


def verify(tmp_path: Path, port: int, *words: str) -> subprocess.CompletedProcess[str]:
    file = tmp_path / "badgateway.yml"
    file.write_text(CONFIG.format(port=port))
    return subprocess.run(
        [sys.executable, "-m", "badgateway", "verify", "--config.file", str(file), *words],
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_site_that_answers_is_verified(tmp_path: Path) -> None:
    with site(lambda number: 200) as port:
        done = verify(tmp_path, port, "api", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["ok"]
    (backend,) = told["backends"]
    assert (backend["backend"], backend["ok"], backend["reasons"]) == ("api", True, [])
    assert backend["targets"][0]["answers"] >= 3
    assert 4.5 <= told["seconds"] < 20


def test_a_look_that_finds_nothing_wrong_is_ended_though_the_time_is_up(tmp_path: Path) -> None:
    with site(lambda number: 200) as port:
        assert verify(tmp_path, port, "--wait", "1s", "--steady", "1s").returncode == 0


def test_a_site_that_comes_up_late_is_waited_for(tmp_path: Path) -> None:
    with site(lambda number: 502 if number < 4 else 200) as port:
        done = verify(tmp_path, port, "--steady", "1s")
    assert done.returncode == 0, done.stdout
    assert "api  verified" in done.stdout


def test_a_site_that_does_not_answer_fails_when_the_time_is_up(tmp_path: Path) -> None:
    begun = time.monotonic()
    with site(lambda number: 502) as port:
        done = verify(tmp_path, port, "--wait", "3s", "--steady", "1s")
    assert done.returncode == 1
    assert time.monotonic() - begun < 20
    assert "api  failing" in done.stdout
    assert f"edge http://127.0.0.1:{port}/: 502" in done.stdout
    assert "undetermined" in done.stdout


def test_a_site_that_answers_now_and_then_fails(tmp_path: Path) -> None:
    with site(lambda number: 200 if number % 3 else 502) as port:
        done = verify(tmp_path, port, "--wait", "7s", "--steady", "3s")
    assert done.returncode == 1, done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--wait", "soon"), "--wait soon: is no duration"),
        (("--steady", "-1s"), "--steady -1s: is no duration"),
        (("other", "--wait", "1s", "--steady", "1s"), "no backend `other`; known: api"),
        (("--url", "http://127.0.0.1:9"), "no exporter answers at http://127.0.0.1:9"),
    ],
)
def test_what_cannot_be_told_is_exit_code_2(
    tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    done = verify(tmp_path, free_port(), *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stdout == ""


def test_nothing_to_ask_is_exit_code_2(tmp_path: Path) -> None:
    file = tmp_path / "badgateway.yml"
    file.write_text("discovery: {enabled: false}\nbackends: [{name: api}]\n")
    command = [sys.executable, "-m", "badgateway", "verify", "--config.file", str(file)]
    command.append("--steady=1s")
    for words in (["--wait", "1s"], ["api", "--wait", "1s"]):
        done = subprocess.run([*command, *words], capture_output=True, text=True, timeout=60)
        assert done.returncode == 2, done.stdout
        assert "nothing to" in done.stderr


def test_a_running_exporter_is_believed(tmp_path: Path) -> None:
    up = threading.Event()
    with site(lambda number: 200 if up.is_set() else 502) as port:
        config = CONFIG.format(port=port) + "probes: {interval: 1s, timeout: 1s}\n"
        with ExporterProcess(tmp_path, config) as exporter:
            time.sleep(2)
            done = verify(tmp_path, port, "api", "--url", exporter.url, "--wait", "2s")
            assert done.returncode == 1, done.stdout + done.stderr
            up.set()
            done = verify(tmp_path, port, "api", "--url", exporter.url, "--json")
            assert done.returncode == 0, done.stdout + done.stderr
            assert json.loads(done.stdout)["seconds"] >= 12


def test_whoever_interrupts_it_is_not_told_that_something_fails(tmp_path: Path) -> None:
    asked = threading.Event()

    def status(number: int) -> int:
        asked.set()
        return 502

    file = tmp_path / "badgateway.yml"
    with site(status) as port:
        file.write_text(CONFIG.format(port=port))
        with subprocess.Popen(
            [sys.executable, "-m", "badgateway", "verify", "--config.file", str(file)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as running:  # fmt: skip
            assert asked.wait(15)
            running.send_signal(signal.SIGINT)
            said = running.communicate(timeout=15)
    assert running.returncode == 130
    assert said == ("", "badgateway: interrupted\n")


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_an_outcome_that_cannot_be_written_is_no_failure(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    file = tmp_path / "badgateway.yml"
    with site(lambda number: 200) as port, open("/dev/full", "w") as full:
        file.write_text(CONFIG.format(port=port))
        done = subprocess.run(
            [
                sys.executable, "-m", "badgateway", "verify", "--config.file", str(file),
                "--steady", "1s", *words,
            ],
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=60,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ("badgateway: the outcome cannot be written: No space left on device\n")
