"""Logs of real containers: each line once, whatever ends in between."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from badgateway.events import LINE_LIMIT, Batch, Line
from badgateway.sources.container_place import Place
from badgateway.sources.containerlog import ContainerLog
from badgateway.topology.containers.times import nanoseconds
from tests.dockerlab import DockerLab


@pytest.fixture(scope="module")
def lab() -> Iterator[DockerLab]:
    with DockerLab() as found:
        yield found


class Reading:
    """A source that reads, and what it delivered; a context manager."""

    def __init__(
        self, lab: DockerLab, name: str, position: Mapping[str, Any] | None = None,
        begun: float = 0.0,
    ) -> None:  # fmt: skip
        self.batches: list[Batch] = []
        self.position = position
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self.source = ContainerLog(
            "web-container", "web", lambda: place(lab, name), lambda: lab.host, begun
        )
        self.source.watch(None)

    def __enter__(self) -> Reading:
        self._thread.start()
        self.source.start(self._loop, self._take, self.position)
        return self

    def __exit__(self, *_: object) -> None:
        self.source.stop()
        thread = self.source._thread
        assert thread is not None
        thread.join(5)
        assert not thread.is_alive(), "the source does not end"
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _take(self, batch: Batch) -> None:
        self.batches.append(batch)
        if batch.position is not None:
            self.position = batch.position

    @property
    def counted(self) -> list[str]:
        return [line.text for line in self.lines(True)]

    @property
    def gaps(self) -> list[str]:
        return [batch.gap for batch in self.batches if batch.gap]

    def lines(self, counted: bool) -> list[Line]:
        return [line for b in self.batches if b.counted is counted for line in b.lines]

    def wait(self, is_so: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 15
        while not is_so():
            assert time.monotonic() < deadline, (self.counted[-20:], self.source.status)
            time.sleep(0.02)

    def wait_for(self, *texts: str) -> None:
        self.wait(lambda: set(texts) <= set(self.counted))


def place(lab: DockerLab, name: str) -> Place | None:
    for row in lab.client.containers(all=True, filters={"name": f"^/{name}$"}):
        document = lab.client.inspect_container(row["Id"])
        return Place(
            document["Id"], nanoseconds(document["Created"]) / 1e9,
            document["State"]["Status"] == "running", document["Config"]["Tty"],
        )  # fmt: skip
    return None


def test_each_line_is_counted_once_over_ends_of_the_container_and_of_the_reader(
    lab: DockerLab,
) -> None:
    script = """
      n=$(cat /tmp/n 2>/dev/null || echo 0); i=0
      while [ $i -lt 40 ]; do n=$((n+1)); i=$((i+1)); echo out$n; echo err$n >&2; done
      echo $n > /tmp/n; sleep 0.2; exit 1
    """
    policy = {"Name": "on-failure", "MaximumRetryCount": 5}
    identifier = lab.create("often", script, restart_policy=policy)
    position: Mapping[str, Any] | None = None
    counted: list[str] = []
    lab.client.start(identifier)
    for _ in range(4):
        with Reading(lab, "often", position) as reading:
            time.sleep(0.7)
        counted += reading.counted
        position = reading.position
    lab.wait_for(identifier, "exited", 20)
    with Reading(lab, "often", position) as reading:
        deadline = time.monotonic() + 10
        while len(counted) + len(reading.counted) < 480 and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.5)
        counted += reading.counted
        assert not reading.gaps
    assert len(counted) == len(set(counted)) == 480
    for stream in ("out", "err"):
        own = [text for text in counted if text.startswith(stream)]
        assert own == [f"{stream}{number}" for number in range(1, 241)]


def test_lines_of_before_are_evidence_and_not_counted(lab: DockerLab) -> None:
    lab.run("before", "echo early; sleep 1.5; echo late; sleep 600")
    time.sleep(0.3)
    with Reading(lab, "before", begun=time.time()) as reading:
        reading.wait_for("late")
        assert reading.counted == ["late"]
        assert [line.text for line in reading.lines(False)] == ["early"]
        (late,) = reading.lines(True)
        assert (late.unit, late.source) == ("web", "web-container")
        assert abs(late.at - time.time()) < 5


def test_a_container_created_while_watched_is_counted_from_its_first_line(lab: DockerLab) -> None:
    begun = time.time()
    lab.run("newborn", "echo first; sleep 600")
    time.sleep(0.3)
    with Reading(lab, "newborn", begun=begun) as reading:
        reading.wait_for("first")
        assert not reading.lines(False)


def test_a_container_created_anew_is_a_gap_only_if_something_was_unread(lab: DockerLab) -> None:
    lab.run("anew", "echo one; sleep 600")
    with Reading(lab, "anew") as reading:
        reading.wait_for("one")
        lab.client.kill("anew")
        reading.wait(lambda: bool((reading.position or {}).get("whole")))
        lab.client.remove_container("anew")
        lab.run("anew", "echo two; sleep 600")
        reading.wait_for("two")
        assert reading.gaps == []
    lab.client.remove_container("anew", force=True)
    lab.run("anew", "echo three; sleep 600")
    with Reading(lab, "anew", reading.position) as reading:
        reading.wait_for("three")
        assert len(reading.gaps) == 1


def test_long_lines_are_put_together_and_a_terminal_is_read(lab: DockerLab) -> None:
    long = "s=x; i=0; while [ $i -lt 15 ]; do s=$s$s; i=$((i+1)); done; "
    lab.run("long", long + "echo $s; echo after; sleep 600")
    lab.run("tty", "echo seen; sleep 600", tty=True)
    with Reading(lab, "long") as reading:
        reading.wait_for("after")
        assert reading.counted == ["x" * 2**15, "after"]
    with Reading(lab, "tty") as reading:
        reading.wait_for("seen")


def test_lines_without_end_and_bytes_of_any_kind_are_bounded(lab: DockerLab) -> None:
    endless = "busybox head -c 10485760 /dev/zero | busybox tr '\\000' x; echo; "
    noise = "busybox head -c 300000 /dev/urandom; echo; "
    script = endless + noise + "echo after; sleep 600"
    lab.run("noisy", script)
    lab.run("noisy-tty", script, tty=True)
    for name in ("noisy", "noisy-tty"):
        with Reading(lab, name) as reading:
            reading.wait_for("after")
            assert set(reading.counted[0][:16_000]) == {"x"}
            assert max(map(len, reading.counted)) <= LINE_LIMIT


def test_a_log_driver_that_keeps_nothing_is_said_with_what_helps(lab: DockerLab) -> None:
    lab.run("mute", "echo lost; sleep 600", log_config={"type": "none"})
    with Reading(lab, "mute") as reading:
        reading.wait(lambda: reading.source.status.up is False)
        assert "use json-file, local or journald" in reading.source.status.problem


def test_a_daemon_that_restarts_loses_no_line_of_what_it_kept(lab: DockerLab) -> None:
    script = "trap 'echo bye; exit 0' TERM; echo hello; while :; do sleep 0.1; done"
    identifier = lab.run("kept", script, restart_policy={"Name": "always"})
    with Reading(lab, "kept") as reading:
        reading.wait_for("hello")
        lab.restart(signal.SIGTERM)
        lab.wait_for(identifier, "running")
        reading.wait(lambda: reading.counted.count("hello") == 2)
        assert reading.counted == ["hello", "bye", "hello"]
        assert reading.gaps == []
