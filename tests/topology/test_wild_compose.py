"""Compose files as people really have them: read, or told with their file, or unknown.

A next start that is not known is none; a guess in its place would be a wrong warning.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway.topology.containers import compose
from badgateway.topology.containers.compose_variables import UnknownError, interpolated

PREFIX = "com.docker.compose."


def container(folder: Path, *names: str, service: str = "web") -> dict[str, Any]:
    """The description of a container of a project in ``folder``."""
    paths = names or ("compose.yml",)
    return {
        "Config": {
            "WorkingDir": "/srv", "Env": [], "Cmd": ["gunicorn", "app:app"], "Entrypoint": None,
            "Labels": {
                PREFIX + "service": service,
                PREFIX + "project.working_dir": str(folder),
                PREFIX + "project.config_files": ",".join(str(folder / name) for name in paths),
            },
        }
    }  # fmt: skip


def words(folder: Path, text: str, service: str = "web") -> tuple[str, ...] | None:
    """The command of the next start."""
    (folder / "compose.yml").write_text(text)
    found = compose.planned(container(folder, service=service))
    return None if found is None else found[0]


def environment(folder: Path, text: str) -> dict[str, str]:
    (folder / "compose.yml").write_text(text)
    found = compose.planned(container(folder))
    assert found is not None
    return dict(found[2])


def test_anchors_and_merges_of_several_mappings_are_followed(tmp_path: Path) -> None:
    text = """
x-logging: &logging {logging: {driver: journald}}
x-python: &python
  environment: &env {A: "1"}
  command: gunicorn app:app -w 2
services:
  web:
    <<: [*logging, *python]
    environment: {<<: *env, B: "2"}
"""
    assert words(tmp_path, text) == ("gunicorn", "app:app", "-w", "2")
    assert environment(tmp_path, text) == {"A": "1", "B": "2"}


@pytest.mark.parametrize(
    ("service", "said"),
    [
        ("command: {gunicorn: app}", "the service web: its command is neither a text nor a list"),
        ("command: [gunicorn, [app]]", "a list or a mapping where a text is due"),
        ("command: gunicorn $", "a `$` that begins no variable; write `$$`"),
        ("command: 'echo $(date)'", "a `$` that begins no variable; write `$$`"),
        ("command: 'echo ${A'", "a `${` without its `}`"),
        ("command: 'gunicorn \"app'", "cannot be split into words"),
        ("env_file: gone.env", "gone.env does not exist"),
        ("extends: {service: gone}", "extends the service gone"),
        ("environment: {A: [1]}", "a list or a mapping where a text is due"),
    ],
)
def test_what_compose_would_refuse_is_told_with_the_file(
    tmp_path: Path, service: str, said: str
) -> None:
    (tmp_path / "compose.yml").write_text(f"services:\n  web:\n    {service}\n")
    given = container(tmp_path)
    assert compose.planned(given) is None
    told = compose.unread([given])
    assert said in told
    assert told.startswith(f"{tmp_path}/compose.yml: ")


def test_what_is_no_yaml_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "compose.yml").write_text("services:\n  web:\n    command: [a\n  b: c\n")
    assert compose.unread([container(tmp_path)]).startswith(f"{tmp_path}/compose.yml:4: ")
    (tmp_path / "compose.yml").write_text("- web\n")
    assert "no compose file" in compose.unread([container(tmp_path)])
    (tmp_path / "compose.yml").write_text("services: [web]\n")
    assert "`services` is no mapping" in compose.unread([container(tmp_path)])


def test_a_file_that_is_gone_or_names_the_service_no_more_is_not_wrong(tmp_path: Path) -> None:
    assert compose.unread([container(tmp_path)]) == ""
    (tmp_path / "compose.yml").write_text("services: {renamed: {command: gunicorn app:app}}\n")
    assert compose.unread([container(tmp_path)]) == ""
    assert compose.planned(container(tmp_path)) is None


def test_labels_with_required_variables_are_left_alone(tmp_path: Path) -> None:
    text = """
services:
  web:
    command: gunicorn app:app
    labels:
      "traefik.http.routers.${ROUTER?set it}.rule": "Host(`${HOST:?set it}`) && $unknown"
    image: ${REGISTRY?set it}/web
"""
    assert words(tmp_path, text) == ("gunicorn", "app:app")
    assert compose.unread([container(tmp_path)]) == ""


def test_a_dollar_that_is_meant_is_one_dollar(tmp_path: Path) -> None:
    text = "services: {web: {command: [sh, -c, 'exec gunicorn -w $$WORKERS app:app']}}\n"
    assert words(tmp_path, text) == ("sh", "-c", "exec gunicorn -w $WORKERS app:app")


def test_a_service_that_only_extends_another_is_that_one(tmp_path: Path) -> None:
    (tmp_path / "common").mkdir()
    (tmp_path / "common/base.yml").write_text(
        "services:\n  python:\n    command: gunicorn app:app -w 3\n    env_file: app.env\n"
        "    environment: {A: '1'}\n"
    )
    (tmp_path / "common/app.env").write_text("B=2\n")
    text = (
        "services:\n  web:\n    extends: {file: common/base.yml, service: python}\n"
        "    environment: [C=3]\n"
    )
    assert words(tmp_path, text) == ("gunicorn", "app:app", "-w", "3")
    assert environment(tmp_path, text) == {"A": "1", "B": "2", "C": "3"}
    inside = "services: {base: {command: gunicorn a:a}, web: {extends: base}}\n"
    assert words(tmp_path, inside) == ("gunicorn", "a:a")


def test_services_that_extend_each_other_come_to_an_end(tmp_path: Path) -> None:
    text = "services: {web: {extends: api}, api: {extends: web}}\n"
    assert words(tmp_path, text) is None
    assert compose.unread([container(tmp_path)]) == ""


def test_an_override_file_is_laid_over_the_first(tmp_path: Path) -> None:
    (tmp_path / "compose.yml").write_text(
        "services: {web: {command: gunicorn app:app, environment: {A: '1', B: '1'}}}\n"
    )
    (tmp_path / "compose.prod.yml").write_text(
        "services:\n  web:\n    command: gunicorn app:app -w 8\n    environment: [B=2]\n"
        "    ports: !reset []\n    volumes: !override [data:/data]\n"
    )
    found = compose.planned(container(tmp_path, "compose.yml", "compose.prod.yml"))
    assert found is not None
    assert found[0] == ("gunicorn", "app:app", "-w", "8")
    assert found[2] == {"A": "1", "B": "2"}


def test_an_override_that_names_only_part_keeps_the_rest(tmp_path: Path) -> None:
    (tmp_path / "compose.yml").write_text("services: {web: {command: gunicorn app:app}}\n")
    (tmp_path / "compose.override.yml").write_text("services: {web: {ports: ['80:80']}}\n")
    found = compose.planned(container(tmp_path, "compose.yml", "compose.override.yml"))
    assert found is not None
    assert found[0] == ("gunicorn", "app:app")


def test_what_a_file_includes_is_read(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/compose.yml").write_text("services: {web: {command: gunicorn shop:app}}\n")
    (tmp_path / "shop/override.yml").write_text(
        "services: {web: {command: gunicorn shop:app -w 2}}\n"
    )
    assert words(tmp_path, "include: [shop/compose.yml]\n") == ("gunicorn", "shop:app")
    text = "include:\n  - path: [shop/compose.yml, shop/override.yml]\n    env_file: x.env\n"
    assert words(tmp_path, text) == ("gunicorn", "shop:app", "-w", "2")
    assert words(tmp_path, "include: [compose.yml]\n") is None


def test_one_file_for_several_hosts_is_read_by_the_service(tmp_path: Path) -> None:
    text = "services:\n" + "".join(
        f"  web-{host}:\n    profiles: [{host}]\n    command: gunicorn {host}:app\n"
        for host in ("north", "south", "east")
    )
    assert words(tmp_path, text, "web-south") == ("gunicorn", "south:app")


def test_an_optional_environment_file_may_be_missing(tmp_path: Path) -> None:
    text = (
        "services:\n  web:\n    command: gunicorn app:app\n"
        "    env_file:\n      - {path: gone.env, required: false}\n"
    )
    assert words(tmp_path, text) == ("gunicorn", "app:app")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${A}-$A-${A:-x}-${A-x}-${A:?no}-${A?no}", "1-1-1-1-1-1"),
        ("${E:-x}${E-x}", "x"),
        ("${A:+y}${N:+y}${E+z}", "yz"),
        ("${N:-${M:-${A}}}", "1"),
        ("${N:-a{b}", "a{b"),
        ("$$A ${N-}", "$A "),
        ("$Ab", None),
        ("${N}", None),
        ("${N:?set it}", None),
    ],
)
def test_variables_are_replaced_as_compose_does(text: str, expected: str | None) -> None:
    known = {"A": "1", "E": ""}
    if expected is None:
        with pytest.raises(UnknownError):
            interpolated(text, known)
    else:
        assert interpolated(text, known) == expected


@given(st.text(alphabet="${}:-?+AB_ 1", max_size=80))
def test_no_text_makes_replacing_variables_fail_otherwise(text: str) -> None:
    with contextlib.suppress(UnknownError):
        assert isinstance(interpolated(text, {"A": "1"}), str)


@given(st.text(alphabet="services:web{}[]\n ,-&a*<!$command'\"#", max_size=120))
def test_no_compose_file_raises(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / "compose.yml").write_text(text)
    compose.planned(container(folder))
    assert isinstance(compose.unread([container(folder)]), str)
