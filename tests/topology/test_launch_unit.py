"""What a systemd unit would run: over D-Bus, and from its files."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway.topology.launch.environment import read_environment_file
from badgateway.topology.launch.unit import unit_launch
from badgateway.topology.launch.unitfile import read_unit_file


@pytest.fixture
def uvicorn(tmp_path: Path) -> Path:
    """A virtualenv's uvicorn."""
    binaries = tmp_path / "venv" / "bin"
    binaries.mkdir(parents=True)
    (tmp_path / "venv" / "pyvenv.cfg").write_text("")
    (binaries / "python").symlink_to(sys.executable)
    (binaries / "uvicorn").write_text(f"#!{binaries}/python\n")
    return binaries / "uvicorn"


# Each is what systemd 252 makes of it (its environment.d generator reads the same grammar).
@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("A=1\nB = two words  \n", {"A": "1", "B": "two words"}),
        ("# A=1\n; B=2\n\n  C=3", {"C": "3"}),
        ("A='x y'\"z\"w", {"A": "x yzw"}),
        ('A=x"y"', {"A": 'x"y"'}),
        ('A="a\\"b\\$c\\nd"', {"A": 'a"b$c\\nd'}),
        ('A="two\nlines"\nB=1', {"A": "two\nlines", "B": "1"}),
        ("A=one \\\n  two\nB=1", {"A": "one   two", "B": "1"}),
        ("A=x\\ \nB=a\\#b", {"A": "x ", "B": "a#b"}),
        ("A=a#b ;c", {"A": "a#b ;c"}),
        ("export A=1\nB-C=2\n=3\nD", {}),
        ("A=$HOME ${X}", {"A": "$HOME ${X}"}),
        ("A=\nB=''", {"A": "", "B": ""}),
        ("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("\ufeffA=1", {}),
    ],
)
def test_an_environment_file_is_read_as_systemd_reads_it(
    text: str, variables: dict[str, str]
) -> None:
    assert read_environment_file(text) == variables


@given(st.text(alphabet="AB=1 \t\n\r\\'\"#;$é", max_size=80))
def test_an_environment_file_never_raises(text: str) -> None:
    for name in read_environment_file(text):
        assert name.isidentifier()


@given(st.dictionaries(st.sampled_from(["A", "B_1"]), st.text(max_size=20)))
def test_quoted_values_come_back_whole(values: dict[str, str]) -> None:
    lines = []
    for name, value in values.items():
        escaped = "".join("\\" + c if c in '"\\`$' else c for c in value)
        lines.append(f'{name}="{escaped}"\n')
    assert read_environment_file("".join(lines)) == values


def test_systemd_expands_braces_anywhere_and_bare_names_as_words_only(uvicorn: Path) -> None:
    found = unit_launch(
        [str(uvicorn), "$APP", "--port", "80${N}", "$OPTS", "--root-path=$APP", "--header", "a$$b"],
        "/srv",
        ["APP=app:app", "N=01", "OPTS=--workers  2"],
    )
    assert (found.entry, found.listen, found.workers) == ("app:app", ("127.0.0.1:8001",), 2)
    assert found.argv[-3:] == ("--root-path=$APP", "--header", "a$b")
    plain = unit_launch([str(uvicorn), "${APP}"], "/", ["APP=app:app"], expand=False)
    assert plain.argv[1] == "${APP}"


def test_environment_files_override_and_may_be_missing_only_when_said(
    uvicorn: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.env").write_text("PORT=8001\nHOST=0.0.0.0\n")
    (tmp_path / "b.env").write_text("PORT=8002\n")
    argv = [str(uvicorn), "app:app", "--port", "${PORT}", "--host", "${HOST}"]
    both = unit_launch(argv, "", ["PORT=1"], [(f"{tmp_path}/*.env", False), ("/nonexistent", True)])
    assert (both.listen, both.problem) == (("0.0.0.0:8002",), None)
    gone = unit_launch(argv, "", [], [("/nonexistent", False)])
    assert gone.problem == "environment_file_missing"


def test_the_working_directory_may_be_the_users_home(uvicorn: Path) -> None:
    found = unit_launch([str(uvicorn), "app:app"], "!~", user="root")
    assert found.working_directory == "/root"
    assert unit_launch([str(uvicorn), "app:app"], "").search == ("/",)


def unit(path: Path, text: str, *drop_ins: str) -> list[str]:
    path.write_text(text)
    paths = [str(path)]
    for number, drop_in in enumerate(drop_ins):
        other = path.parent / f"{number}.conf"
        other.write_text(drop_in)
        paths.append(str(other))
    return paths


def test_a_unit_file_with_shell_variables_and_drop_ins(uvicorn: Path, tmp_path: Path) -> None:
    (tmp_path / "app.env").write_text("PORT=8001\n")
    paths = unit(
        tmp_path / "api.service",
        f"""# the unit
[Unit]
Description=An "API"
ExecStart=/not/this/section
[Service]
WorkingDirectory={tmp_path}
Environment="A=one two" B=2 \\
  # a comment amid
  C=3
EnvironmentFile=-{tmp_path}/none.env
EnvironmentFile={tmp_path}/app.env
ExecStart=/bin/false
""",
        f"""[Service]
ExecStart=
ExecStart=-/bin/bash -lc 'exec {uvicorn} app:app \\
  --port "$PORT" --workers $$((1+1))'
UnsetEnvironment=B
""",
    )
    found = read_unit_file(paths)
    assert (found.problem, found.entry) == (None, "app:app")
    assert found.listen == ("127.0.0.1:8001",)
    assert found.environment["A"] == "one two"
    assert "B" not in found.environment
    assert found.environment["C"] == "3"


def test_prefixes_specifiers_and_escapes_of_a_command(uvicorn: Path, tmp_path: Path) -> None:
    paths = unit(
        tmp_path / "api@blue-1.service",
        f"[Service]\nExecStart=@{uvicorn} uvicorn:%i shop.%i:app --root-path \\x2fa%%b "
        "--uds %t/%p-%i.sock --header 'x\\ty' ; /bin/true\n",
    )
    found = read_unit_file(paths)
    assert found.argv[1:] == (
        "shop.blue-1:app", "--root-path", "/a%b", "--uds", "/run/api-blue-1.sock", "--header",
        "x\ty",
    )  # fmt: skip
    assert found.listen == ("unix:/run/api-blue-1.sock",)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[Service]\nExecStart=/bin/x %m\n", "specifier"),
        ("[Service]\nExecStart=/bin/x %", "specifier"),
        ("[Service]\nType=simple\n", "no_command"),
        ("[Service]\nExecStart=/bin/x\nExecStart=\n", "no_command"),
        ("[Service]\nExecStart=-@\n", "no_command"),
        ("", "no_command"),
        ("\x00\x01[[[\n=\n", "no_command"),
        ("[Service]\nExecStart=/usr/bin/python3 -m app\nRootDirectory=/opt/root\n", "container"),
    ],
)
def test_what_a_unit_file_does_not_tell_has_a_name(tmp_path: Path, text: str, problem: str) -> None:
    assert read_unit_file(unit(tmp_path / "x.service", text)).problem == problem


def test_a_unit_file_that_cannot_be_read_is_said_so(tmp_path: Path) -> None:
    assert read_unit_file([str(tmp_path / "none.service")]).problem == "unit_unreadable"
    assert read_unit_file([]).problem == "no_command"


@given(
    st.lists(
        st.sampled_from(
            ["[Service]\n", "ExecStart=", "Environment=", "\\", "\n", '"', "'", "%", "\\x", "a=b",
             " ", "$X", ";", "#", "-@", "/bin/x", "\\u12", "\\U00110000", "EnvironmentFile=-"]
        ),
        max_size=12,
    ).map("".join)
)  # fmt: skip
def test_no_unit_file_raises(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.service"
    path.write_text(text)
    read_unit_file([str(path)])
