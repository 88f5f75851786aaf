"""What a project or virtualenv may hold to confuse, hang or exhaust whoever reads it."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway.packages import files, installed, virtualenv
from badgateway.packages.imports import parse
from badgateway.packages.requirements import read_requirements
from badgateway.packages.watch import fingerprint
from tests.packages.world import World, kinds, one

MINOR = (3, 11)


@pytest.mark.parametrize("name", ["pyproject.toml", "app.py", ".venv/pyvenv.cfg"])
def test_a_fifo_does_not_hang_a_scan(world: World, name: str) -> None:
    world.declare()
    world.write({"app.py": ""})
    path = world.project / name
    path.unlink()
    os.mkfifo(path)
    began = time.monotonic()
    report = world.report()
    assert time.monotonic() - began < 5
    assert report.verdict in ("unknown", "will_fail", "ok")
    assert report.verdict != "ok" or name.endswith("pyvenv.cfg")


def test_a_device_is_not_opened(tmp_path: Path) -> None:
    link = tmp_path / "pyproject.toml"
    link.symlink_to("/dev/zero")
    with pytest.raises(OSError, match="not a regular file"):
        files.read_bytes(str(link))


def test_symbolic_links_that_loop_end(world: World) -> None:
    world.declare()
    world.write({"app.py": "import shop.deep.deeper\n", "shop/__init__.py": ""})
    (world.project / "shop" / "deep").symlink_to(world.project / "shop")
    (world.site / "self").symlink_to(world.site / "self")
    assert one(world.report(), "import_missing").subject == "shop.deep.deeper"


def test_a_huge_declaration_is_unreadable_not_read(world: World) -> None:
    world.write({"app.py": ""})
    with (world.project / "pyproject.toml").open("wb") as stream:
        stream.truncate(50 << 20)
    report = world.report()
    assert (report.verdict, one(report, "unreadable").subject) == ("unknown", "pyproject.toml")


@pytest.mark.parametrize(
    "text",
    [
        "[project\n",
        "project = 3\n",
        "[project]\nname = 3\ndependencies = 'web'\n",
        "[project]\nname = 'x'\ndependencies = [1, {a = 2}]\n",
        "[project]\nname = 'x'\ndependencies = ['not a requirement at all']\n",
        "a = " + "[" * 5000 + "\n",
    ],
)
def test_a_broken_declaration_leaves_the_answer_open(world: World, text: str) -> None:
    world.write({"pyproject.toml": text, "app.py": ""})
    report = world.report()
    if text == "project = 3\n":
        assert report.verdict == "ok"  # declares nothing, and everything imported is there
    else:
        assert (report.verdict, kinds(report)[-1]) == ("unknown", "unreadable")


def test_a_password_in_a_url_is_not_repeated(world: World) -> None:
    world.declare("web @ https://user:hunter2@example.invalid/web.whl", "bad https://u:hunter2@h/")
    world.write({"app.py": "import web\n"})
    report = world.report()
    assert "hunter2" not in repr(report)
    assert {f.declared for f in report.findings if f.subject == "web"} == {"url"}


def test_a_source_built_to_exhaust_a_parser_is_refused(world: World) -> None:
    world.declare()
    world.write({"app.py": "x = [" + "1," * 400_000 + "]\n"})
    report = world.report()
    assert (report.verdict, one(report, "unreadable").subject) == (
        "unknown",
        str(world.project / "app.py"),
    )


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"\xff\xfe\x00", "syntax"),
        (b"x = '\xe9'\n", "syntax"),
        (b"# coding: no-such-codec\n", "syntax"),
        (b"import a\x00b\n", "syntax"),
        (b"(" * 5000, "syntax"),
        (b"x = " + b"-" * 100_000 + b"1\n", "too deeply nested"),
    ],
)
def test_a_source_that_does_not_parse_has_an_error(content: bytes, error: str) -> None:
    assert parse(content, "/x.py", MINOR).error.startswith(error)


def test_a_long_chain_of_branches_is_no_error() -> None:
    text = "if a == 0:\n    import b0\n" + "".join(
        f"elif a == {n}:\n    import b{n}\n" for n in range(1, 400)
    )
    source = parse(text.encode(), "/x.py", MINOR)
    assert source.error in ("", "too deeply nested")


@given(st.binary(max_size=300))
def test_parsing_never_raises(content: bytes) -> None:
    parse(content, "/a/__init__.py", MINOR)


@given(st.text(alphabet="NameVersionRequires-Dist: \t\r\n1aé", max_size=200))
def test_a_metadata_header_never_raises_and_ends_at_the_first_empty_line(text: str) -> None:
    fields = installed.read_header(text + "\n\nName: body\n")
    assert all("body" not in value for values in fields.values() for value in values)


def test_a_folded_licence_with_blank_lines_does_not_end_the_header() -> None:
    text = (
        "Name: x\nLicense: MIT\n        \n        Copyright\nRequires-Dist: y\n\nRequires-Dist: z\n"
    )
    assert installed.read_header(text)["requires-dist"] == ["y"]


@given(st.binary(max_size=200))
def test_a_requirements_file_never_raises(content: bytes) -> None:
    path = Path(os.environ.get("TMPDIR", "/tmp")) / f"requirements-{os.getpid()}.txt"
    path.write_bytes(content)
    try:
        read_requirements(str(path))
    finally:
        path.unlink()


def test_requirements_files_that_include_each_other_end(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("-r b.txt\nweb\n")
    (tmp_path / "b.txt").write_text("-r a.txt\n-r missing.txt\nyaml-thing\n")
    content = read_requirements(str(tmp_path / "a.txt"))
    assert [line.name for line in content.lines] == ["yaml-thing", "web"]
    assert [os.path.basename(file) for file, _ in content.problems] == ["missing.txt"]


@pytest.mark.parametrize(
    "name",
    ["~eb-1.0.dist-info", "nothing-1.0.dist-info", "odd.egg-info", "-web.dist-info"],
)
def test_half_an_installation_is_a_note(world: World, name: str) -> None:
    world.declare()
    world.write({"app.py": ""})
    (world.site / name).mkdir()
    report = world.report()
    assert (report.verdict, one(report, "broken_dist").subject) == ("ok", name)


def test_metadata_that_nobody_can_parse_is_passed_over(world: World) -> None:
    world.declare("web")
    world.install("web", requires=["python-dotenv (>=0.13.*)", "fine; bad marker", "anyio"])
    world.write({"app.py": "import web\n"})
    assert [f.subject for f in world.report().findings] == ["anyio"]


@contextlib.contextmanager
def unprivileged(place: Path) -> Iterator[None]:
    """Read as a user who owns nothing, for a while; anyone else than root is one already."""
    if os.geteuid() != 0:
        yield
        return
    above = [parent for parent in (place, *place.parents) if not parent.stat().st_mode & 0o005]
    modes = {parent: parent.stat().st_mode for parent in above if parent != place}
    for parent in modes:
        parent.chmod(0o755)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
        for parent, mode in modes.items():
            parent.chmod(mode)


def test_what_may_not_be_read_is_unknown_and_never_ok(world: World) -> None:
    world.declare()
    world.write({"app.py": ""})
    world.site.chmod(0)
    try:
        with unprivileged(world.site):
            assert world.report().verdict == "unknown"
    finally:
        world.site.chmod(0o755)


def test_a_broken_interpreter_is_no_exception(tmp_path: Path) -> None:
    for content in (b"\x7fELF", b"\x7fELF\x02\x01" + b"\xff" * 200, b"#!/bin/sh\n"):
        (tmp_path / "python3.11").write_bytes(content)
        found = virtualenv.describe("", str(tmp_path / "python3.11"))
        assert found.version == "3.11.0"


def test_a_fingerprint_of_anything_is_a_fingerprint() -> None:
    paths = ("/nonexistent", "/nonexistent/", "a\0b", "a\0b/", "\udcff", "/proc/self/mem", "/")
    assert fingerprint(paths) == fingerprint(paths)
