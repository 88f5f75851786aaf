"""What a container's description says about the application in it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from badgateway.topology.backends import Backend
from badgateway.topology.containers import applications as containers
from badgateway.topology.containers.shell import shell_first
from badgateway.topology.joining import join
from badgateway.topology.routes import Route

GUNICORN = ["gunicorn", "app:app", "--bind", "0.0.0.0:8000"]


def document(argv: list[str], **further: Any) -> dict[str, Any]:
    prefix = "com.docker.compose."
    given: dict[str, Any] = {
        "Id": "0a1b",
        "Name": "/shop-web-1",
        "Path": argv[0],
        "Args": argv[1:],
        "State": {"Status": "running", "Pid": 0, "Health": {"Status": "healthy"}},
        "Config": {
            "Image": "shop:1", "WorkingDir": "/srv", "Env": ["A=1"],
            "Labels": {
                prefix + "project": "shop", prefix + "service": "web",
                prefix + "container-number": "1",
            },
        },
        "HostConfig": {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}},
        "NetworkSettings": {
            "Ports": {"8000/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "9000/tcp": None},
            "Networks": {
                "shop_default": {"IPAddress": "172.18.0.2", "Aliases": ["web", "0a1b"]},
            },
        },
        "Mounts": [{"Source": "/data/uploads", "Destination": "/srv/uploads"}],
    }  # fmt: skip
    return given | further


def backend(given: dict[str, Any], *addresses: str) -> Backend:
    (found,) = containers.backends([given], addresses)
    return found


def test_a_compose_service_that_runs_a_server_is_a_backend() -> None:
    found = backend(document(GUNICORN), "192.0.2.7")
    assert (found.name, found.manager, found.unit, found.server) == (
        "shop/web", "docker", "shop/web", "gunicorn",
    )  # fmt: skip
    assert found.listens == ("127.0.0.1:8080",)
    assert set(found.aliases) >= {"192.0.2.7:8080", "172.18.0.2:8000", "web:8000"}
    assert found.container is not None
    assert (found.container.restart_policy, found.container.retries) == ("on-failure", 3)
    assert (found.container.health, found.container.image) == ("healthy", "shop:1")
    assert found.container.root == (("/srv/uploads", "/data/uploads"),)


@pytest.mark.parametrize("upstream", ["127.0.0.1:8080", "localhost:8080", "172.18.0.2:8000"])
def test_a_proxy_leads_to_it_by_any_of_its_addresses(upstream: str) -> None:
    route = Route("*", ":80", upstream)
    paths = join([backend(document(GUNICORN))], [("nginx", [route])])
    assert [(b.name, len(b.paths)) for b in paths.backends] == [("shop/web", 1)]


def test_a_port_published_at_one_address_is_reached_only_there() -> None:
    given = document(GUNICORN)
    given["NetworkSettings"]["Ports"]["8000/tcp"] = [{"HostIp": "192.0.2.7", "HostPort": "80"}]
    assert backend(given, "192.0.2.7").listens == ("192.0.2.7:80",)


def test_a_container_without_published_ports_is_reached_by_its_own_address() -> None:
    given = document(GUNICORN)
    given["NetworkSettings"]["Ports"] = {}
    assert backend(given).listens == ("172.18.0.2:8000",)


def test_in_the_hosts_network_it_listens_where_its_command_says() -> None:
    given = document(GUNICORN)
    given["HostConfig"]["NetworkMode"] = "host"
    assert backend(given).listens == ("0.0.0.0:8000",)


def test_the_replicas_of_a_service_are_one_backend() -> None:
    second = document(GUNICORN, Id="2", Name="/shop-web-2")
    labels = second["Config"]["Labels"]
    second["Config"] = {
        **second["Config"], "Labels": {**labels, "com.docker.compose.container-number": "2"},
    }  # fmt: skip
    second["NetworkSettings"] = {"Ports": {"8000/tcp": [{"HostIp": "", "HostPort": "8081"}]}}
    (found,) = containers.backends([second, document(GUNICORN)])
    assert found.listens == ("127.0.0.1:8080", "127.0.0.1:8081")
    assert found.container is not None
    assert (found.container.identifier, found.container.replicas) == ("0a1b", ("1", "2"))


@pytest.mark.parametrize(
    "argv",
    [
        GUNICORN,
        ["/docker-entrypoint.sh", *GUNICORN],
        ["tini", "--", *GUNICORN],
        ["dumb-init", "/entrypoint.sh", *GUNICORN],
        ["sh", "-c", "sleep 10 && python -m gunicorn app:app --bind 0.0.0.0:8000"],
        ["/bin/sh", "-c", "exec gunicorn app:app -b 0.0.0.0:8000"],
    ],
)
def test_the_server_is_found_behind_what_starts_it(argv: list[str]) -> None:
    found = backend(document(argv))
    assert found.launch is not None
    assert (found.server, found.launch.entry) == ("gunicorn", "app:app")
    assert found.launch.listen == ("0.0.0.0:8000",)


def test_another_program_is_a_backend_without_a_launch() -> None:
    found = backend(document(["node", "server.js"]))
    assert found.launch is None
    assert found.listens == ("127.0.0.1:8080",)


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["sh", "-c", "sleep 10 && python -m gunicorn app:app"], (True, 10.0)),
        (["/bin/bash", "-lc", "sleep 1m; sleep 2; gunicorn a:b"], (True, 62.0)),
        (["sh", "-c", "sleep 5 && exec gunicorn a:b"], (False, 5.0)),
        (["sh", "-c", "gunicorn a:b"], (False, 0.0)),
        (["sh", "-c", "if true; then gunicorn a:b; fi"], (True, 0.0)),
        (["sh", "/entrypoint.sh", "gunicorn"], (False, 0.0)),
        (["gunicorn", "-c", "sleep 5"], (False, 0.0)),
        (["tini", "--", "sh", "-c", "sleep 3 && gunicorn a:b"], (True, 3.0)),
        (["sh", "-c"], (False, 0.0)),
        ([], (False, 0.0)),
    ],
)
def test_a_shell_that_stays_is_known_with_its_pause(
    argv: list[str], expected: tuple[bool, float]
) -> None:
    assert shell_first(argv) == expected


def with_compose(given: dict[str, Any], folder: Path, text: str) -> dict[str, Any]:
    (folder / "compose.yml").write_text(text)
    given["Config"]["Labels"] |= {
        "com.docker.compose.project.config_files": str(folder / "compose.yml"),
        "com.docker.compose.project.working_dir": str(folder),
    }
    given["Config"] |= {"Entrypoint": None, "Cmd": GUNICORN}
    return given


def test_a_changed_compose_file_is_the_next_launch(tmp_path: Path) -> None:
    text = "services:\n  web:\n    command: gunicorn app:app -b 0.0.0.0:8000 -w ${WORKERS:-4}\n"
    found = backend(with_compose(document(GUNICORN), tmp_path, text))
    assert found.next_launch is not None
    assert found.next_launch.workers == 4
    (tmp_path / ".env").write_text("# how many\nexport WORKERS='3'  \n")
    found = backend(with_compose(document(GUNICORN), tmp_path, text))
    assert found.next_launch is not None
    assert found.next_launch.workers == 3


def test_settings_from_the_environment_are_part_of_the_next_launch(tmp_path: Path) -> None:
    text = "services: {web: {environment: [WEB_CONCURRENCY=5]}}"
    found = backend(with_compose(document(GUNICORN), tmp_path, text))
    assert found.next_launch is not None
    assert found.next_launch.workers == 5


@pytest.mark.parametrize(
    "text",
    [
        "services: {web: {image: shop}}",
        "services: {web: {command: gunicorn app:app --bind 0.0.0.0:8000}}",
        "services: {web: {command: [gunicorn, app:app, --bind, '0.0.0.0:8000']}}",
        "services: {other: {command: uvicorn app:app}}",
        "services: {web: {command: gunicorn $UNKNOWN}}",
        "services: {web: {extends: other, command: uvicorn app:app}}",
        "services: {web: {command: 'gunicorn \"'}}",
        "services: {web: {command: 5}}",
        "services: [",
        "- web",
        "!!python/object/apply:os.system [true]",
    ],
)
def test_a_compose_file_that_changes_or_tells_nothing_is_no_next_launch(
    text: str, tmp_path: Path
) -> None:
    assert backend(with_compose(document(GUNICORN), tmp_path, text)).next_launch is None


def test_a_small_compose_file_cannot_stand_for_an_endless_one(tmp_path: Path) -> None:
    lines = ["a0: &a0 {" + ", ".join(f"k{n}: 1" for n in range(100)) + "}"]
    lines += [f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}, *a{n - 1}]}}" for n in range(1, 20)]
    text = "\n".join([*lines, "services: {web: {command: uvicorn app:app}}"])
    assert backend(with_compose(document(GUNICORN), tmp_path, text)).next_launch is None


def test_broken_descriptions_are_no_error() -> None:
    for given in ({}, {"Id": "1", "Config": None, "State": None, "HostConfig": None}):
        assert containers.backends([given])


@pytest.mark.parametrize(
    "service",
    [
        "{command: *x9}", "{command: a, environment: *x9}", "{command: a, working_dir: *x9}",
        "{command: a, environment: {A: *x9}}", "{command: a, env_file: *x9}", "{command: &a [*a]}",
        "{command: '" + "${A:-" * 20_000 + "'}", "{extends: web}", "[" * 20_000,
        "{command: a, environment: {A: 1" + ":59" * 30_000 + "}}",
    ],
    ids=range(10),
)  # fmt: skip
def test_a_compose_file_that_stands_for_an_endless_one_tells_nothing(
    service: str, tmp_path: Path
) -> None:
    text = "x0: &x0 [lol, lol]\n" + "".join(
        f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 10)}]\n" for n in range(1, 10)
    )
    given = with_compose(document(GUNICORN), tmp_path, f"{text}services: {{web: {service}}}\n")
    begun = time.process_time()
    assert backend(given).next_launch is None
    assert time.process_time() - begun < 3
