"""What is missing of what a start needs, on this host and inside a container."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from badgateway.packages import files
from badgateway.packages.findings import Target
from badgateway.packages.roots import Root
from badgateway.preflight import places
from badgateway.preflight.look import preflight


def found(**needs: Any) -> set[tuple[str, str]]:
    target = Target("", server="uvicorn", **needs)
    return {(f.kind, f.subject) for f in preflight(target).findings}


@pytest.mark.parametrize(
    ("needs", "expected"),
    [
        ({"needed_directory": "/nonexistent/app"}, {("directory_missing", "/nonexistent/app")}),
        ({"needed_directory": "/etc"}, set()),
        ({"needed_files": ("/etc/default/no-such", "/etc/passwd")},
         {("environment_file_missing", "/etc/default/no-such")}),
        ({"needed_files": ("/etc/default/*.no-such",)}, set()),
        ({"user": "no-such-user"}, {("user_missing", "no-such-user")}),
        ({"user": "root", "group": "no-such-group"}, {("user_missing", "no-such-group")}),
        ({"user": "4711", "group": "4711"}, set()),
        ({"script": "/opt/none/bin/gunicorn", "interpreter": "/opt/none/bin/python"},
         {("program_missing", "/opt/none/bin/gunicorn")}),
    ],
)  # fmt: skip
def test_what_is_missing_is_named(needs: dict[str, Any], expected: set[tuple[str, str]]) -> None:
    assert found(**needs) == expected


def test_with_a_project_the_program_is_left_to_the_look_at_its_packages() -> None:
    target = Target("/srv/app", server="uvicorn", script="/opt/none/bin/uvicorn")
    assert preflight(target).findings == ()


def test_what_a_sandbox_may_hide_is_not_called_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setattr(places, "_OFTEN_HIDDEN", (str(home),))
    assert not places.missing(str(home / "anna"))
    assert not places.missing(str(home / "anna/app"))
    (home / "anna").mkdir()
    assert places.missing(str(home / "anna/app"))


def test_what_may_be_made_by_the_start_is_not_called_missing() -> None:
    assert not places.missing("/run/no-such/app")
    assert not places.missing("/run/no-such.env")


def test_a_user_that_a_directory_service_may_know_is_not_called_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    switch = tmp_path / "nsswitch.conf"
    read = files.read_text
    monkeypatch.setattr(files, "read_text", lambda path: read(str(switch)))
    for line, known in (
        ("passwd: files systemd\n", False),
        ("passwd: files [NOTFOUND=return] systemd # sss\n", False),
        ("passwd: files sss\n", True),
        ("group: files\n", True),
    ):
        switch.write_text(line)
        assert places.user_exists("no-such-user", inside=False) is known
    switch.unlink()
    assert places.user_exists("no-such-user", inside=False)
    assert places.user_exists("root", inside=False)


def test_a_directory_that_may_not_be_looked_into_hides_what_it_holds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(files, "exists", lambda path: None)
    assert not places.missing("/srv/closed/app")


def test_inside_a_container_its_own_files_count(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("inner:x:1:1::/:/bin/sh\n")
    (tmp_path / "etc/group").write_text("inner:x:1:\n")
    (tmp_path / "srv").mkdir()
    root = (("/", str(tmp_path)),)
    with files.seen_in(Root.of(root)):
        assert found(user="inner", group="inner", needed_directory="/srv", root=root) == set()
        assert found(user="daemon", root=root) == {("user_missing", "daemon")}
        assert found(needed_directory="/etc/systemd", root=root) == {
            ("directory_missing", "/etc/systemd")
        }
