"""nginx' own test of its files: what it is taken to mean, and when it is not run at all."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from badgateway.blocking import Blocking
from badgateway.topology.proxies import landlock, sandbox
from badgateway.topology.proxies import selftest as proxytest
from badgateway.topology.proxies.place import ProxyFound, ProxyPlace
from badgateway.topology.proxies.selftest import judged
from badgateway.topology.proxies.state import Tested as Outcome
from tests.lab.require import require, unavailable
from tests.topology.rootsplace import roots_place

HEALTHY = "events {}\nhttp { server { listen 127.0.0.1:1; location / { return 200; } } }\n"


@pytest.fixture
def folder() -> Iterator[Path]:
    with roots_place() as place:
        yield place


@pytest.fixture
def binary() -> str:
    if landlock.version() == 0:
        unavailable("this kernel has no Landlock")
    return str(require("nginx"))


def ask(place: ProxyPlace) -> Outcome:
    return asyncio.run(proxytest.nginx(place, Blocking("looking at a program")))


def about(folder: Path, binary: str, text: str, pid: int = 0) -> ProxyPlace:
    config = folder / "nginx.conf"
    config.write_text(text)
    return ProxyPlace("edge", "nginx", config=str(config), binary=binary, pid=pid)


def test_a_syntax_error_is_told_with_its_place(folder: Path, binary: str) -> None:
    place = about(folder, binary, HEALTHY.replace("return 200", "\nretrun 200"))
    assert ask(place) == Outcome(False, 'unknown directive "retrun"', f"{place.config}:3")


@pytest.mark.parametrize(
    "fault",
    ["server { listen 1", 'server { listen 127.0.0.1:1; return 200 "x; }', "include missing.conf;",
     "upstream a {}", "server { listen 127.0.0.1:1 ssl; ssl_certificate /nonexistent/x.pem;"
     " ssl_certificate_key /nonexistent/x.key; }"],
)  # fmt: skip
def test_what_nginx_would_refuse_is_refused(folder: Path, binary: str, fault: str) -> None:
    told = ask(about(folder, binary, f"events {{}}\nhttp {{ {fault} }}\n"))
    assert told.valid is False, told
    assert told.message


def test_a_file_that_is_gone_would_be_refused(folder: Path, binary: str) -> None:
    place = about(folder, binary, HEALTHY)
    (folder / "nginx.conf").unlink()
    told = ask(place)
    assert told.valid is False
    assert "No such file" in told.message


def test_a_healthy_file_is_not_judged_beyond_its_syntax(folder: Path, binary: str) -> None:
    told = ask(about(folder, binary, HEALTHY))
    assert told.valid is None
    assert told.message.startswith("the syntax is right, the rest is not judged: open() ")


def test_no_file_is_made_where_everybody_may_write(folder: Path, binary: str) -> None:
    free = folder / "free"
    free.mkdir()
    free.chmod(0o777)
    given = (
        f"pid {free}/pid; lock_file {free}/lock; error_log {free}/error.log;\nevents {{}}\nhttp {{"
        f" access_log {free}/access.log; client_body_temp_path {free}/body;"
        f" proxy_temp_path {free}/proxy; proxy_cache_path {free}/cache keys_zone=a:1m;"
        f" server {{ listen unix:{free}/socket; access_log {free}/$host.log; return 200; }} }}\n"
    )
    before = sorted(Path("/tmp").iterdir())
    told = ask(about(folder, binary, given))
    assert told.valid is None
    assert "Permission denied" in told.message
    assert list(free.iterdir()) == []
    assert sorted(Path("/tmp").iterdir()) == before


def test_no_file_is_emptied_that_everybody_may_write(folder: Path, binary: str) -> None:
    log = folder / "free.log"
    log.write_text("kept\n")
    log.chmod(0o666)
    ask(about(folder, binary, f"error_log {log};\npid {log};\n{HEALTHY}"))
    assert log.read_text() == "kept\n"


@pytest.mark.parametrize("what", ["a name", "rights"])
def test_what_depends_on_who_asks_is_no_verdict(folder: Path, binary: str, what: str) -> None:
    secret = folder / "secret.conf"
    secret.write_text("")
    secret.chmod(0o600)
    given = {
        "a name": "upstream a { server no-such-host.invalid:80; }",
        "rights": f"include {secret};",
    }[what]
    assert ask(about(folder, binary, f"events {{}}\nhttp {{ {given} }}\n")).valid is None


def test_a_test_that_hangs_is_ended(
    folder: Path, binary: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "SECONDS", 1.0)
    os.mkfifo(folder / "pipe.conf")
    (folder / "pipe.conf").chmod(0o644)
    begun = time.monotonic()
    told = ask(about(folder, binary, f"include {folder}/pipe.conf;\n{HEALTHY}"))
    assert told == Outcome(None, "not judged: `nginx` did not end within 1 s")
    assert time.monotonic() - begun < 3


def test_without_landlock_it_is_not_run(
    folder: Path, binary: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(landlock, "version", lambda: 0)
    told = ask(about(folder, binary, "nonsense"))
    assert told.valid is None
    assert "this kernel has no Landlock" in told.message


def test_a_configuration_that_others_write_is_not_tested(folder: Path, binary: str) -> None:
    place = about(folder, binary, "nonsense")
    (folder / "nginx.conf").chmod(0o666)
    told = ask(place)
    assert told.valid is None
    assert "nginx.conf can be written by others than root" in told.message


class Impostor:
    """A process that says it is nginx' master; a context manager that gives its pid."""

    def __init__(self, argv: Sequence[str], executable: str | None = None) -> None:
        self._argv, self._executable = argv, executable

    def __enter__(self) -> int:
        self._process = subprocess.Popen(self._argv, executable=self._executable)
        time.sleep(0.2)
        return self._process.pid

    def __exit__(self, *_: object) -> None:
        workers = psutil.Process(self._process.pid).children(recursive=True)
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        for worker in workers:  # a real nginx has some, and they would live on
            with contextlib.suppress(psutil.NoSuchProcess):
                worker.kill()


TEMPORARY = (
    "client_body_temp_path DIR/a; proxy_temp_path DIR/b; fastcgi_temp_path DIR/c;"
    " uwsgi_temp_path DIR/d; scgi_temp_path DIR/e;"
)
TITLE = "nginx: master process /usr/sbin/nginx"


def test_another_program_with_nginxs_title_is_not_run(folder: Path, binary: str) -> None:
    words = (TITLE, "-c", "import time; time.sleep(60)")
    python = shutil.which("python3", path="/usr/bin:/bin") or unavailable("no python3 of root's")
    marker = folder / "was-run"
    with Impostor(words, python) as pid:
        # as Python's `-c` this would be a program
        told = ask(about(folder, binary, f"open({str(marker)!r}, 'w')\n", pid))
    assert told.valid is None
    assert "is not known as a build of nginx" in told.message
    assert not marker.exists()


@pytest.mark.parametrize("owner", ["anybody", "root"])
def test_a_script_called_nginx_is_not_run(folder: Path, binary: str, owner: str) -> None:
    place = about(folder, str(folder / "nginx"), "nonsense")
    marker = folder / "was-run"
    script = folder / "nginx"
    script.write_text(f"#!/bin/sh\ntouch {marker}\nsleep 60\n")
    script.chmod(0o777 if owner == "anybody" else 0o755)
    why = "can be written by others" if owner == "anybody" else "no program but a script"
    told = ask(place)
    assert told.valid is None
    assert why in told.message
    assert not marker.exists()


def test_a_copy_that_others_may_write_is_not_run(folder: Path, binary: str) -> None:
    copy = folder / "nginx"
    shutil.copy("/bin/sleep", copy)
    copy.chmod(0o777)
    with Impostor((TITLE, "60"), str(copy)) as pid:
        told = ask(about(folder, binary, "nonsense", pid))
    assert told == Outcome(None, f"not judged: {copy} can be written by others than root")


def test_a_program_replaced_since_its_start_is_not_run(folder: Path, binary: str) -> None:
    copy = folder / "nginx"
    shutil.copy("/bin/sleep", copy)
    with Impostor((TITLE, "60"), str(copy)) as pid:
        shutil.copy(binary, folder / "new")
        (folder / "new").rename(copy)
        told = ask(about(folder, str(copy), "nonsense", pid))
    assert told.valid is None
    assert "was replaced" in told.message


def test_what_an_ordinary_user_gives_nginx_is_not_run(folder: Path, binary: str) -> None:
    marker = folder / "free"
    marker.mkdir()
    marker.chmod(0o777)
    text = f"daemon off;\nerror_log {marker}/log;\n{HEALTHY}"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        text = text.replace("127.0.0.1:1;", f"127.0.0.1:{free.getsockname()[1]};")
    text = text.replace(
        "http {", f"http {{ access_log off; {TEMPORARY.replace('DIR', str(marker))}"
    )
    place = about(folder, binary, text)
    words = (binary, "-c", str(place.config), "-g", f"pid {marker}/pid; lock_file {marker}/lock;")
    command = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *words)
    with Impostor(command) as pid:
        assert Path(f"/proc/{pid}/exe").resolve().name == "nginx"
        running = ProxyPlace("edge", "nginx", config=place.config, pid=pid)
        assert ask(running) == Outcome(None, f"not judged: process {pid} is not root's")
        found, _ = proxytest.command(replace(running, unit="nginx.service"))
        assert found == (binary, "-t", "-c", place.config)


def test_a_containers_program_is_not_run(folder: Path, binary: str) -> None:
    place = about(folder, binary, "nonsense")
    contained = ProxyPlace("edge", "nginx", config=place.config, binary=binary, container="web")
    assert ask(contained) == Outcome(None, "not judged: it runs in a container")


@pytest.mark.parametrize("differs", [False, True])
def test_what_sees_other_files_is_not_judged_by_these(
    folder: Path, binary: str, differs: bool
) -> None:
    """A unit may have a mount namespace of its own and yet see the same files."""
    other = folder / "other.conf"
    text = f"daemon off;\npid {folder}/pid;\nerror_log {folder}/log;\n{HEALTHY}"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        text = text.replace("127.0.0.1:1;", f"127.0.0.1:{free.getsockname()[1]};")
    other.write_text(text)
    place = about(folder, binary, text)
    mount = f"mount --bind {other} {place.config};" if differs else ""
    command = f"{mount} exec {binary} -c {place.config}"
    with Impostor(("unshare", "-m", "sh", "-c", command)) as pid:
        (folder / "nginx.conf").write_text("nonsense")
        told = ask(ProxyPlace("edge", "nginx", config=place.config, pid=pid))
        assert Path(f"/proc/{pid}/exe").resolve().name == "nginx"
    if differs:
        assert told == Outcome(None, "not judged: it runs in a mount namespace of its own")
    else:
        assert told.valid is False


def test_what_was_given_on_the_command_line_is_tested_with_it(folder: Path, binary: str) -> None:
    text = f"daemon off;\nerror_log {folder}/log;\n{HEALTHY}"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        text = text.replace("127.0.0.1:1;", f"127.0.0.1:{free.getsockname()[1]};")
    place = about(folder, binary, text)
    words = (binary, "-c", str(place.config), "-g", f"pid {folder}/pid; lock_file {folder}/lock;")
    with Impostor(words) as pid:
        found, problem = proxytest.command(
            ProxyPlace("edge", "nginx", config=place.config, pid=pid)
        )
    assert problem == ""
    assert found == (
        binary, "-t", "-c", place.config, "-g", f"pid {folder}/pid; lock_file {folder}/lock;"
    )  # fmt: skip


# -- the words alone

EMERGENCY = "2026/11/22 05:15:50 [emerg] 28579#28579: "


def test_a_success_is_one() -> None:
    said = (
        "nginx: the configuration file /etc/nginx/nginx.conf syntax is ok\n"
        "nginx: configuration file /etc/nginx/nginx.conf test is successful\n"
    )
    assert judged(0, said) == Outcome(True)
    assert judged(0, "").valid is None


def test_the_first_emergency_counts_whatever_warns_before() -> None:
    said = (
        'nginx: [warn] the "user" directive makes sense only in /etc/nginx/nginx.conf:1\n'
        'nginx: [emerg] "proxy_pass" directive is not allowed here in /etc/nginx/a b.conf:7\n'
        "nginx: configuration file /etc/nginx/nginx.conf test failed\n"
    )
    place = "/etc/nginx/a b.conf:7"
    assert judged(1, said) == Outcome(False, '"proxy_pass" directive is not allowed here', place)


@pytest.mark.parametrize(
    "said",
    [
        'host not found in upstream "db" in /etc/nginx/nginx.conf:9',
        'cannot load certificate key "/etc/ssl/k.pem": BIO_new_file() failed (SSL: '
        "error:8000000D:system library::Permission denied:calling fopen(/etc/ssl/k.pem, r))",
        'open() "/etc/nginx/x.conf" failed (24: Too many open files) in /etc/nginx/nginx.conf:3',
    ],
)
def test_circumstances_are_no_verdict(said: str) -> None:
    assert judged(1, f"{EMERGENCY}{said}\n").valid is None


def test_what_comes_after_the_syntax_is_no_verdict() -> None:
    said = f"nginx: the configuration file /x syntax is ok\n{EMERGENCY}bind() to 0.0.0.0:80 failed"
    assert judged(1, said).valid is None


def test_no_secret_is_repeated() -> None:
    said = f'{EMERGENCY}invalid URL "http://user:hunter2@db/" in /etc/nginx/nginx.conf:9'
    assert "hunter2" not in judged(1, said).message


# -- Caddy

REFUSAL = (
    "`caddy adapt` refused /etc/caddy/Caddyfile: Error: adapting config using caddyfile: "
    "/etc/caddy/Caddyfile:2: unrecognized directive: reverse_prxy"
)


def test_a_refused_caddyfile_is_refused() -> None:
    told = proxytest.caddy(ProxyFound(problems={"caddy-config": REFUSAL}), True)
    assert told == Outcome(False, REFUSAL, "/etc/caddy/Caddyfile:2")


def test_a_caddyfile_that_was_adapted_is_accepted() -> None:
    assert proxytest.caddy(ProxyFound(on_disk=()), True) == Outcome(True)
    odd = ProxyFound(on_disk=(), problems={"caddy-config": "an upstream without a port"})
    assert proxytest.caddy(odd, True) == Outcome(True)


@pytest.mark.parametrize(
    "problem",
    ["`caddy adapt`: not run: no rights", REFUSAL + ": open x: permission denied",
     "/etc/caddy/Caddyfile: no such file"],
)  # fmt: skip
def test_what_was_not_adapted_is_not_judged(problem: str) -> None:
    told = proxytest.caddy(ProxyFound(problems={"caddy-config": problem}), True)
    assert told == Outcome(None, problem)


def test_nobody_judges_a_json_file() -> None:
    told = proxytest.caddy(ProxyFound(on_disk=()), False)
    assert told is not None
    assert told.valid is None


ORDINARY = """
import asyncio, sys
from badgateway.blocking import Blocking
from badgateway.topology.proxies import selftest as proxytest
from badgateway.topology.proxies.place import ProxyPlace
config, binary, pid, unit = sys.argv[1:]
place = ProxyPlace("edge", "nginx", unit, config=config, binary=binary, pid=int(pid))
told = asyncio.run(proxytest.nginx(place, Blocking("looking")))
print(told.valid, told.message, told.place)
"""


@pytest.mark.parametrize("unit", ["nginx.service", ""])
def test_an_ordinary_user_is_told_of_a_syntax_error_where_a_unit_names_the_program(
    folder: Path, binary: str, unit: str
) -> None:
    """Another user's program cannot be seen without a privilege; what root's unit runs is known."""
    place = about(folder, binary, HEALTHY.replace("return 200", "retrun 200"))
    with Impostor(("/bin/sleep", "60")) as pid:
        script = (sys.executable, "-c", ORDINARY, str(place.config), binary, str(pid), unit)
        ran = subprocess.run(
            script, user="nobody", group="nogroup", extra_groups=[], cwd="/", env={},
            capture_output=True, text=True, timeout=20,
        )  # fmt: skip
    if ran.returncode:
        unavailable(f"nobody cannot run this Python: {ran.stderr[-200:]}")
    told = f'False unknown directive "retrun" {place.config}:2\n'
    unseen = f"None not judged: the program of process {pid} cannot be seen \n"
    assert ran.stdout == (told if unit else unseen)
