"""``badgateway check`` as a gate in pipelines: whatever it is given, it ends with 0, 1 or 2."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result

from badgateway.cli import main

PROGRAM = Path(sys.executable).with_name("badgateway")
GOOD = "events {}\nhttp {\n  server { location / { proxy_pass http://127.0.0.1:8001; } }\n}\n"
BAD = GOOD.replace("8001", "99999")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of files, right and odd."""
    files: dict[str, bytes] = {
        "good.conf": GOOD.encode(),
        "bad.conf": BAD.encode(),
        "crlf.conf": GOOD.replace("\n", "\r\n").encode(),
        "latin.conf": b"# caf\xe9\n" + GOOD.encode(),
        "bom.conf": b"\xef\xbb\xbf" + GOOD.encode(),
        "empty.conf": b"",
        "empty.json": b"",
        "bytes.conf": bytes(range(256)),
        "list": b"127.0.0.1:8001\n",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    os.mkfifo(tmp_path / "pipe")
    os.mkfifo(tmp_path / "pipe.conf")
    (tmp_path / "nothing").mkdir()
    (tmp_path / "loop.conf").symlink_to("loop.conf")
    (tmp_path / "leads-nowhere").symlink_to("gone")
    return tmp_path


def ended(folder: Path, *words: str) -> Result:
    """The same as ``check``, in this process: it is asked often."""
    with contextlib.chdir(folder):
        return CliRunner().invoke(main, ["check", "--elsewhere", *words])


def check(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROGRAM, "check", "--elsewhere", *words],
        cwd=folder, capture_output=True, text=True, check=False, timeout=60,
        stdin=subprocess.DEVNULL, env={**os.environ, **environment},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gone.conf", "gone.conf: No such file or directory"),
        ("./gone", "gone: No such file or directory"),
        ("pipe", "pipe: Not a regular file"),
        ("pipe.conf", "pipe.conf: Not a regular file"),
        ("/dev/null", "/dev/null: Not a regular file"),
        ("/dev/zero", "/dev/zero: Not a regular file"),
        ("loop.conf", "loop.conf: Too many levels of symbolic links"),
        ("leads-nowhere", "leads-nowhere: No such file or directory"),
        ("empty.conf", "neither a configuration of nginx nor of Caddy"),
        ("empty.json", "empty.json: not JSON"),
        ("bytes.conf", "neither a configuration of nginx nor of Caddy"),
        ("nothing", "no virtualenv inside, and no configuration of nginx or Caddy"),
    ],
)
def test_what_cannot_be_read_is_told_and_the_others_are_judged(
    folder: Path, name: str, said: str
) -> None:
    done = ended(folder, "--json", "good.conf", name)
    assert (done.exit_code, done.stderr) == (2, "")
    found = {result["name"]: result for result in json.loads(done.stdout)}
    assert found["good.conf"]["verdict"] == "ok"
    (other,) = (result for path, result in found.items() if path != "good.conf")
    assert other["verdict"] == "unknown"
    assert said in other["problem"]


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("good.conf",), 0),
        (("crlf.conf", "latin.conf"), 0),
        (("bom.conf",), 1),
        (("good.conf", "bad.conf"), 1),
        (("bad.conf", "gone.conf"), 1),  # what is wrong is more than what is not known
        (("bad.conf", "gone.conf", "--fail-on", "fatal"), 2),
        (("bad.conf", "--fail-on", "fatal"), 0),
        (("bad.conf", "--fail-on", "info"), 1),
        (("good.conf", "--expect", "list"), 0),
        (("good.conf", "--expect", "gone"), 2),
        (("good.conf", "--expect", "pipe"), 2),
        (("good.conf", "--expect", "nothing"), 2),
        (("good.conf", "--expect", "bytes.conf"), 2),
        (("good.conf", "--against", "good.conf"), 0),
        (("good.conf", "--against", "bad.conf"), 1),
        (("good.conf", "--against", "pipe"), 2),
        (("good.conf", "--against", "nothing"), 2),
        (("good.conf", "--fail-on", "never"), 2),
    ],
)
def test_the_exit_code_says_what_was_found(
    folder: Path, words: tuple[str, ...], status: int
) -> None:
    done = ended(folder, *words)
    assert done.exit_code == status, done.output
    assert done.exception is None or isinstance(done.exception, SystemExit)
    assert done.output


def test_a_file_that_may_not_be_read_is_told(folder: Path) -> None:
    setpriv = shutil.which("setpriv")
    if os.geteuid() == 0 and setpriv is None:
        pytest.skip("root may read everything, and there is no setpriv to be somebody else")
    (folder / "good.conf").chmod(0o000)
    (folder / "nothing").chmod(0o000)
    if os.geteuid() == 0:
        # root without its capabilities is bound by permissions; only other users' are left
        assert setpriv is not None
        os.chown(folder / "good.conf", 1, 1)
        os.chown(folder / "nothing", 1, 1)
        drop = [setpriv, "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]
    else:
        drop = []
    done = subprocess.run(
        [*drop, PROGRAM, "check", "--elsewhere", "--json", "good.conf", "nothing"],
        cwd=folder, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    (folder / "nothing").chmod(0o700)
    assert (done.returncode, done.stderr) == (2, "")
    assert [result["problem"] for result in json.loads(done.stdout)] == [
        "good.conf: Permission denied", "nothing: Permission denied",
    ]  # fmt: skip


def test_a_pipeline_has_a_line_for_each_finding(folder: Path) -> None:
    done = check(folder, "bad.conf", COLUMNS="40")
    (line,) = (line for line in done.stdout.splitlines() if "high" in line)
    assert line.endswith("`99999` is no port. It is where every other site would be sent.")
    assert done.stdout == "\n".join(line.rstrip() for line in done.stdout.splitlines()) + "\n"


def test_a_configuration_cannot_write_to_the_terminal(folder: Path) -> None:
    name = "a\x1b]0;mine\x07b\n::error::c"
    text = f'server {{ server_name "{name}"; location / {{ proxy_pass "http://x:100:y"; }} }}\n'
    (folder / "odd.conf").write_text(text)
    done = check(folder, "odd.conf")
    assert done.returncode == 1
    assert "\x1b" not in done.stdout
    assert "\x07" not in done.stdout
    assert not any(line.startswith("::") for line in done.stdout.splitlines())
    assert "x:100:y" in done.stdout  # and no picture of a hundred


def test_what_cannot_be_judged_is_an_error_of_the_report(folder: Path) -> None:
    done = check(folder, "--format", "junit", "good.conf", "bad.conf", "gone.conf")
    assert done.returncode == 1
    root = ElementTree.fromstring(done.stdout.encode())
    counts = {name: root.get(name) for name in ("tests", "failures", "errors")}
    assert counts == {"tests": "3", "failures": "1", "errors": "1"}
    for suite in root:
        assert suite.get("tests") == str(len(suite.findall("testcase")))
        assert suite.get("errors") == str(len(suite.findall("testcase/error")))
        assert suite.get("failures") == str(len(suite.findall("testcase/failure")))
    (failed,) = root.findall("testsuite/testcase[failure]")
    assert (failed.get("file"), failed.get("line")) == ("bad.conf", "3")


def test_each_finding_has_a_name_of_its_own_in_the_report(folder: Path) -> None:
    (folder / "tls.conf").write_text(
        GOOD.replace("http://127.0.0.1:8001", "https://127.0.0.1:8002")
    )
    words = ("--format", "junit", "--against", "tls.conf", "good.conf")
    root = ElementTree.fromstring(ended(folder, *words).stdout.encode())
    names = [case.get("name") for case in root.iter("testcase")]
    assert names == ["routes_differ: *", "routes_differ: * (2)"]
