"""Good and bad web configuration files, those of exporter-toolkit among them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from badgateway.web import webconfig
from badgateway.web.current import Current
from badgateway.web.weboptions import WebConfig, WebConfigError
from tests.lab.require import require
from tests.web import world

OUTCOMES = yaml.safe_load((world.FIXTURES / "outcomes.yml").read_text())


def fixtures(kind: str) -> list[str]:
    return sorted(path.stem for path in (world.FIXTURES / kind).glob("*.yml"))


@pytest.mark.parametrize("kind", ["good", "bad"])
def test_every_fixture_has_its_outcome(kind: str) -> None:
    assert fixtures(kind) == sorted(OUTCOMES[kind])


@pytest.mark.parametrize("name", fixtures("good"))
def test_a_good_file_is_taken(certificates: Path, tmp_path: Path, name: str) -> None:
    path = world.place(world.FIXTURES / "good" / f"{name}.yml", certificates, f"{name}.yml")
    assert Current(path).config.summary == OUTCOMES["good"][name]


@pytest.mark.parametrize("name", fixtures("bad"))
def test_a_bad_file_is_refused_with_its_reasons(certificates: Path, name: str) -> None:
    path = world.place(world.FIXTURES / "bad" / f"{name}.yml", certificates, f"{name}.yml")
    with pytest.raises(WebConfigError) as refused:
        Current(path)
    told = str(refused.value)
    assert all(line.startswith(f"{path}:") for line in told.splitlines())
    told = told.replace(f"{path}:", "").replace(f"{certificates}/", "")
    assert told == OUTCOMES["bad"][name]
    assert "hunter2" not in told
    assert "doe" not in told


STRICTER = {
    "cert_twice", "ciphers_of_13_only", "client_ca_empty", "header_lines", "only_versions",
    "rate_without_unit", "require_any", "sans_unverified", "two_documents", "user_with_colon",
    "versions_crossed",
}  # fmt: skip
"""What exporter-toolkit takes and then does not do as written, or does for nobody; and
RequireAnyClientCert, which Python's ``ssl`` cannot do."""

TOLD_LATER = {"http2_cipher_missing"}
"""What exporter-toolkit refuses only when it begins to serve."""


@pytest.mark.parametrize("kind", ["good", "bad"])
def test_the_toolkit_itself_agrees(certificates: Path, kind: str) -> None:
    names = fixtures(kind)
    paths = [
        world.place(world.FIXTURES / kind / f"{name}.yml", certificates, f"{name}.yml")
        for name in names
    ]
    told = subprocess.run(
        [require("promtool-3"), "check", "web-config", *map(str, paths)],
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    lines = (told.stdout + told.stderr).splitlines()
    taken = {n for n, p in zip(names, paths, strict=True) if f"{p} SUCCESS" in lines}
    assert taken == (set(names) if kind == "good" else STRICTER | TOLD_LATER)


def check(*flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        world.command("serve", "--config.check", *flags),
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip


def test_a_check_says_what_is_good_and_starts_nothing(certificates: Path, tmp_path: Path) -> None:
    web = world.place(world.FIXTURES / "good" / "users.yml", certificates, "checked.yml")
    (tmp_path / "b.yml").write_text(world.QUIET)
    told = check(
        f"--config.file={tmp_path / 'b.yml'}", f"--web.config.file={web}",
        f"--storage.path={tmp_path / 'state'}",
    )  # fmt: skip
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.splitlines() == [
        f"{tmp_path / 'b.yml'}: OK (0 backends, 0 proxies named)",
        f"{web}: OK (TLS 1.2 and later, 2 users)",
    ]
    assert not (tmp_path / "state").exists()


def test_a_check_says_what_is_bad(certificates: Path) -> None:
    web = world.place(world.FIXTURES / "bad" / "wrong_version.yml", certificates, "checked.yml")
    told = check(f"--web.config.file={web}")
    assert (told.returncode, told.stdout) == (2, "")
    assert f"{web}:6:16: tls_server_config.min_version: unknown value" in told.stderr


def test_a_missing_file_is_named() -> None:
    told = check("--web.config.file=/nowhere/web.yml")
    assert (told.returncode, told.stdout) == (2, "")
    assert "/nowhere/web.yml: No such file or directory" in told.stderr


def test_an_address_is_checked_too() -> None:
    told = check("--web.listen-address=10502")
    assert told.returncode == 2
    assert "--web.listen-address 10502: write it as host:port" in told.stderr


def test_relative_paths_begin_at_the_file() -> None:
    text = "tls_server_config: {cert_file: a.crt, key_file: /k/b.key}"
    tls = webconfig.parse(text, "web.yml", Path("/etc/x")).tls
    assert tls is not None
    assert [str(path) for path in tls.files] == ["/etc/x/a.crt", "/k/b.key"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1s", 1), ("100ms", 0.1), ("1m30s", 90), ("1.5h", 5400), ("250us", 0.00025), (".5s", 0.5)],
)
def test_intervals_are_those_of_go(text: str, seconds: float) -> None:
    limit = webconfig.parse(f"rate_limit: {{interval: {text}, burst: 2}}", "w", Path()).rate_limit
    assert limit is not None
    assert limit.interval == pytest.approx(seconds)
    assert limit.burst == 2


@pytest.mark.parametrize("path", [r"a\0b", r"\ud800", r"\udc80"])
def test_a_path_that_none_can_have_is_refused(path: str) -> None:
    text = f'tls_server_config: {{cert_file: "{path}", key_file: k}}'
    with pytest.raises(WebConfigError, match="cert_file: holds what is no text"):
        webconfig.parse(text, "web.yml", Path())


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "web.yml"
    path.write_text("#" * (webconfig.SIZE_LIMIT + 1))
    with pytest.raises(WebConfigError, match="larger than 256 KiB"):
        Current(path)


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(WebConfigError, match=r"Not a regular file|Is a directory"):
            Current(path)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 5000,
        "a: " * 5000,
        "{a: " * 3000,
        "&a [*a]",
        "? {a: b}\n: c",
        "\0",
        "a: !!x y",
        '"a\\nb": 1',
    ],
)
def test_hostile_yaml_is_refused(text: str) -> None:
    with pytest.raises(WebConfigError):
        webconfig.parse(text, "web.yml", Path())


@given(st.text(max_size=300) | st.text("-:[]{}&*!|>'\"#%@ \n\tabc0123", max_size=200))
def test_any_text_is_taken_or_refused(text: str) -> None:
    try:
        told = webconfig.parse(text, "web.yml", Path()).summary
    except WebConfigError as error:
        told = str(error)
    assert told == WebConfig().summary or all(
        line.startswith("web.yml:") for line in told.splitlines()
    )
