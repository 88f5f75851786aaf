"""What a unit's properties say it runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from badgateway.topology import processes, units
from badgateway.topology.launch.command import Launch


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a virtualenv made by hand."""
    bin_ = tmp_path / ".venv" / "bin"
    bin_.mkdir(parents=True)
    (tmp_path / ".venv" / "pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.11.2\n")
    (bin_ / "python").symlink_to("/usr/bin/python3")
    (bin_ / "uvicorn").write_text(f"#!{bin_}/python\n")
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'api'\n")
    return tmp_path


def properties(project: Path, command: str, **more: Any) -> dict[str, Any]:
    words = ["/bin/bash", "-lc", command]
    return {
        "ExecStart": [["/bin/bash", words, False, 0, 0, 0, 0, 0, 0, 0]],
        "WorkingDirectory": str(project),
        "Environment": [f"VENV={project}/.venv"],
        **more,
    }


COMMAND = "exec ${VENV}/bin/uvicorn api.app:app --port ${PORT} --workers 2"


def test_a_wrapped_command_is_seen_through(project: Path) -> None:
    (project / "env").write_text("PORT=8001\n")
    found = units.application(
        "api.service",
        properties(project, COMMAND, EnvironmentFiles=[[str(project / "env"), False]]),
    )
    assert found is not None
    assert (found.name, found.unit, found.manager) == ("api", "api.service", "systemd")
    assert (found.server, found.workers) == ("uvicorn", 2)
    assert found.listens == ("127.0.0.1:8001",)
    assert found.project == str(project)
    assert found.virtualenv == str(project / ".venv")


def test_what_was_learnt_fills_an_environment_file_that_cannot_be_read(project: Path) -> None:
    asked = properties(project, COMMAND, EnvironmentFiles=[[str(project / "none"), False]])
    unknown = units.application("api.service", asked)
    assert unknown is not None
    assert unknown.listens == ()  # never the server's default: that would be a guess
    learnt = units.application("api.service", asked, ["127.0.0.1:8001"])
    assert learnt is not None
    assert learnt.listens == ("127.0.0.1:8001",)


def test_the_running_process_knows_what_its_environment_file_said(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        processes, "launch_of", lambda pid: Launch(server="uvicorn", listen=("127.0.0.1:8001",))
    )
    found = units.application(
        "api.service",
        properties(project, COMMAND, MainPID=7, EnvironmentFiles=[[str(project / "none"), False]]),
    )
    assert found is not None
    assert found.listens == ("127.0.0.1:8001",)


def test_a_shell_that_waits_for_its_child_tells_nothing() -> None:
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.dup2(read, 0)
        os.execv("/bin/sh", ["sh", "-c", "read line; echo $line"])
    try:
        while b"$line" not in Path(f"/proc/{child}/cmdline").read_bytes():
            pass
        assert processes.launch_of(child) is None
    finally:
        os.write(write, b"\n")
        os.close(write)
        os.waitpid(child, 0)


@pytest.mark.parametrize(
    "command", ["/usr/bin/sleep 1", "/usr/sbin/nginx -g daemon", "/usr/bin/python3 -m http.server"]
)
def test_other_services_are_no_applications(command: str) -> None:
    words = command.split()
    assert units.application("x.service", {"ExecStart": [[words[0], words]]}) is None
    assert units.application("x.service", {}) is None


def test_caddy_is_recognised_with_its_configuration() -> None:
    words = ["/usr/bin/caddy", "run", "--environ", "--config", "/etc/caddy/Caddyfile"]
    found = units.proxy("caddy.service", {"ExecStart": [[words[0], words]]})
    assert found is not None
    assert (found.kind, found.binary, found.config) == (
        "caddy", "/usr/bin/caddy", "/etc/caddy/Caddyfile",
    )  # fmt: skip
    assert units.proxy("x.service", {"ExecStart": [["/bin/x", ["x", "run"]]]}) is None


@pytest.mark.parametrize(
    ("options", "config", "prefix"),
    [
        ("-g daemon", "/etc/nginx/nginx.conf", ""),
        ("-c /srv/nginx.conf", "/srv/nginx.conf", ""),
        ("-p /srv/ -c web.conf", "/srv/web.conf", "/srv/"),
    ],
)
def test_nginx_is_recognised_with_its_configuration(options: str, config: str, prefix: str) -> None:
    words = ["/usr/sbin/nginx", *options.split()]
    found = units.proxy("nginx.service", {"ExecStart": [[words[0], words]]})
    assert found is not None
    assert (found.kind, found.config, found.prefix, found.pid) == ("nginx", config, prefix, 0)
    found = units.proxy("nginx.service", {"ExecStart": [[words[0], words]], "MainPID": 7})
    assert found is not None
    assert found.pid == 7


def test_what_the_start_needs_is_taken_from_the_unit(project: Path) -> None:
    given = properties(project, COMMAND, User="web", Group="www")
    launch = _launch(given)
    assert (launch.user, launch.group) == ("web", "www")
    assert launch.needed_directory == str(project)


@pytest.mark.parametrize(
    ("more", "user", "directory"),
    [
        ({"DynamicUser": True}, "", True),
        ({"StateDirectory": ["api"]}, "web", False),
        ({"RuntimeDirectory": []}, "web", True),
        ({"BindPaths": [["/a", "/b", False, 0]]}, "web", False),
        ({"RootDirectory": "/srv/root"}, "", False),
        ({"RootDirectory": "/"}, "web", True),
    ],
)
def test_what_systemd_provides_itself_is_not_needed(
    project: Path, more: dict[str, Any], user: str, directory: bool
) -> None:
    launch = _launch(properties(project, COMMAND, User="web", **more))
    assert launch.user == user
    assert bool(launch.needed_directory) is directory


def _launch(given: dict[str, Any]) -> Launch:
    found = units.application("api.service", given)
    assert found is not None
    assert found.launch is not None
    return found.launch
