"""What a project declares, in each of the forms that are read."""

from __future__ import annotations

from pathlib import Path

import pytest
from packaging.requirements import Requirement

from badgateway.packages.declared import Declaration, read_project
from badgateway.packages.requirements import read_requirements
from tests.packages.world import World, one

MARKERS = {
    "implementation_name": "cpython", "implementation_version": "3.11.2", "os_name": "posix",
    "platform_machine": "x86_64", "platform_python_implementation": "CPython",
    "platform_release": "6.1", "platform_system": "Linux", "platform_version": "#1",
    "python_full_version": "3.11.2", "python_version": "3.11", "sys_platform": "linux",
}  # fmt: skip


def read(root: Path, *extras: str, **files: str) -> Declaration:
    for name, text in files.items():
        (root / name.replace("_", ".", 1)).write_text(text)
    return read_project(str(root), MARKERS, extras)


def wanted(found: Declaration) -> list[tuple[str, str, str]]:
    return [(d.name, d.specifier, d.source) for d in found.requirements]


def test_the_projects_own_metadata_comes_before_a_requirements_file(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        pyproject_toml="[project]\nname='Shop.X'\nrequires-python='>=3.9'\n"
        "dependencies=['Slow_API>=0.1.9', 'old; python_version<\"3.8\"']\n",
        requirements_txt="pytest==8\n",
    )
    assert (found.name, found.requires_python, found.installable) == ("shop-x", ">=3.9", True)
    assert wanted(found) == [("slow-api", ">=0.1.9", "pyproject.toml")]
    assert len(found.base or ()) == 2


def test_extras_count_when_chosen_and_may_name_each_other(tmp_path: Path) -> None:
    text = (
        "[project]\nname='shop'\ndependencies=[]\n[project.optional-dependencies]\n"
        "pg=['psycopg>=3']\nAll_Of=['shop[pg,dev]']\ndev=['shop[all-of]', 'pytest']\n"
    )
    assert wanted(read(tmp_path, pyproject_toml=text)) == []
    found = read(tmp_path, "all.of", pyproject_toml=text)
    # extras that an extra names are read in the order of their names
    assert [name for name, *_ in wanted(found)] == ["pytest", "psycopg"]
    assert read(tmp_path, "gone", pyproject_toml=text).unreadable == (
        ("pyproject.toml", "it has no extra named gone"),
    )


def test_requirements_count_where_the_project_declares_none(tmp_path: Path) -> None:
    found = read(tmp_path, pyproject_toml="[tool.ruff]\n", requirements_txt="web>=1\n")
    assert wanted(found) == [("web", ">=1", "requirements.txt")]
    assert found.base is None
    assert wanted(read(tmp_path, pyproject_toml="[project]\nname='x'\nversion='1'\n")) == [
        ("web", ">=1", "requirements.txt")
    ]


def test_setuptools_may_keep_them_in_files(tmp_path: Path) -> None:
    (tmp_path / "pg.txt").write_text("psycopg\n")
    found = read(
        tmp_path,
        "pg",
        pyproject_toml="[project]\nname='x'\ndynamic=['dependencies', 'optional-dependencies']\n"
        "[tool.setuptools.dynamic]\ndependencies={file=['requirements.txt']}\n"
        "optional-dependencies.pg={file='pg.txt'}\n",
        requirements_txt="web>=1\n",
    )
    assert wanted(found) == [("web", ">=1", "requirements.txt"), ("psycopg", "", "pg.txt")]
    assert found.unreadable == ()


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"pyproject_toml": "[project]\nname='x'\ndynamic=['dependencies']\n"}, "dynamic"),
        ({"pyproject_toml": "[tool.poetry.dependencies]\npython='^3.11'\n"}, "Poetry"),
        ({"setup_py": "setup()"}, "not read"),
        ({"Pipfile": ""}, "not read"),
        ({"pyproject_toml": "[project]\ndependencies=['web>>1']\n"}, "dependency 1"),
    ],
)
def test_what_is_not_read_is_named(tmp_path: Path, files: dict[str, str], why: str) -> None:
    found = read(tmp_path, **files)
    assert why in " ".join(reason for _, reason in found.unreadable)


def test_dynamic_dependencies_fall_back_to_what_was_installed(world: World) -> None:
    world.write({"pyproject.toml": "[project]\nname='shop'\ndynamic=['dependencies']\n",
                 "app.py": "import yaml\n"})  # fmt: skip
    world.install("shop", "1", {}, ["PyYAML>=6", "pytest; extra == 'dev'"])
    report = world.report()
    assert report.verdict == "will_fail"
    fatal = one(report, "import_missing")
    assert (fatal.subject, fatal.declared, fatal.declared_in) == ("pyyaml", ">=6", "METADATA")


REQUIREMENTS = """\
\ufeff# a comment
web[standard]>=1.0,<2 ; python_version >= "3.8"  # and one behind
-r more.txt
--requirement=more.txt
-c limits.txt
--index-url https://user:hunter2@example.invalid/simple
hashed==1.0 \\
    --hash=sha256:abc \\
    --hash=sha256:def
pinned==${VERSION}
git+https://example.invalid/x.git@main#egg=from_git
named @ https://example.invalid/named.zip
https://example.invalid/wheels/Wheel_Name-1.0-py3-none-any.whl
./local
-e ./editable
conf --config-settings="a=b"
-f https://example.invalid/
https://example.invalid/nameless
no=valid=line
"""


def test_a_requirements_file_in_pips_grammar(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text(REQUIREMENTS)
    (tmp_path / "more.txt").write_text("nested\n-e .\n")
    (tmp_path / "limits.txt").write_text("limited<9\n")
    for name in ("local", "editable"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "pyproject.toml").write_text(f"[project]\nname='the-{name}'\n")
    found = read_requirements(str(tmp_path / "requirements.txt"))
    names = [
        (line.name, str(line.requirement or "")) for line in found.lines if not line.constraint
    ]
    assert names == [
        ("web", 'web[standard]<2,>=1.0; python_version >= "3.8"'),
        ("nested", "nested"),
        ("hashed", "hashed==1.0"),
        ("pinned", "pinned"),
        ("from-git", ""),
        ("named", "named @ https://example.invalid/named.zip"),
        ("wheel-name", ""),
        ("the-local", ""),
        ("the-editable", ""),
        ("conf", "conf"),
    ]
    assert [line.name for line in found.lines if line.constraint] == ["limited"]
    assert [(Path(file).name, why) for file, why in found.problems] == [
        ("more.txt", "line 2 cannot be read"),
        ("requirements.txt", "line 18 cannot be read"),
        ("requirements.txt", "line 19 cannot be read"),
    ]
    assert "hunter2" not in repr(found)


@pytest.mark.parametrize(
    "content",
    [
        "web\n".encode("utf-16"),
        b"# coding: latin-1\nweb # caf\xe9\n",
        b"web\r\n",
        b"we\\\nb",
        b"\n\n  web  \n",
    ],
)
def test_encodings_and_line_ends(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "r.txt").write_bytes(content)
    found = read_requirements(str(tmp_path / "r.txt"))
    assert [line.requirement for line in found.lines] == [Requirement("web")]
