"""Whatever a file holds: a configuration or a refusal with places, never anything else."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from badgateway import config

GOOD = [path.read_text() for path in sorted((Path(__file__).parent / "good").glob("*.yml"))]
LINE = re.compile(r"f\.yml:\d+:\d+: .+: .+|f\.yml: more problems follow.*")
SECRET = "hunter2"

KEYS = st.sampled_from(
    [
        "environment", "discovery", "probes", "backends", "proxies", "name", "kind", "unit", "logs",
        "file", "journal", "url", "expect", "status", "body", "headers", "headers_file",
        "basic_auth", "authorization", "password", "credentials", "upstreams", "interval",
        "timeout", "admin", "command", "<<", "nam", "1", "",
        "a` - at `$.probes", "b` - at `$", " - at ", "a.b", "a[0]", "[...]",
    ]
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.dates() | st.binary(max_size=4)
    | st.text(max_size=8)
    | st.sampled_from(["5s", "api", "/x", "a.service", "http://a.example/", "h:1", "unix:/x",
                       "caddy", "edge"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=20,
)  # fmt: skip


def outcome(text: str) -> config.Config | str:
    """Return what is read of a text, or what is said against it."""
    try:
        return config.parse(text, "f.yml")
    except config.ConfigError as error:
        return str(error)


def read(text: str) -> None:
    found = outcome(text)
    if isinstance(found, str):
        for line in found.split("\n"):
            assert LINE.fullmatch(line), line
            assert line.isprintable(), line
    else:
        assert repr(found).encode(), "what is read can be written"


@given(st.text(max_size=200))
@settings(max_examples=200)
def test_any_text(text: str) -> None:
    read(text)


@given(st.text(alphabet="ab:-[]{},&*!|>'\"%@`#? \n\t0.~<=", max_size=60))
@settings(max_examples=400)
def test_any_signs_of_yaml(text: str) -> None:
    read(text)


@given(st.dictionaries(KEYS, VALUES, max_size=5))
@settings(max_examples=300)
def test_any_mapping(document: dict[str, object]) -> None:
    read(yaml.safe_dump(document, allow_unicode=True))


@given(
    st.lists(
        st.sampled_from(
            ["\\ud800", "\\udfff", "\\U0001f600", "\\0", "\\x1b", "\\e", "\\N", "\\L", "a"]
        )
        | st.text(alphabet="abdDxuU0189fF\\nrteNLP_", max_size=12)
    ).map("".join)
)
@settings(max_examples=200)
def test_any_escapes(text: str) -> None:
    read(f'environment: "{text}"')
    read(f'"{text}": x')


@given(st.data())
@settings(max_examples=300)
def test_a_good_file_with_anything_in_it(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(GOOD))
    begin = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(begin, min(len(text), begin + 20)))
    read(text[:begin] + data.draw(st.text(max_size=6)) + text[end:])


@given(data=st.binary(max_size=100))
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "f.yml"
    path.write_bytes(data)
    try:
        said = repr(config.load(path))
    except config.ConfigError as error:
        said = str(error)
    assert said.startswith((f"{path}:", "Config("))


@given(
    st.sampled_from(["password", "credentials", "pasword", "headers", "X-Key"]),
    st.sampled_from(["basic_auth", "authorization", "headers"]),
    st.sampled_from([": ", ":", " ", "=", ":\n        ", ": - "]),
    st.sampled_from(["", "*", "&", "!", "%", "@", "`", "- ", "[", "{", "? ", "| ", "'", '"', "\\"]),
    st.sampled_from(
        ["", ":", ": x", "]", "}", "'", '"', "\n", "\x00", " #", "\n  x: y", ", a: b}"]
    ),
    st.booleans(),
)
@settings(max_examples=400)
def test_a_secret_written_wrongly_is_not_told(
    key: str, holder: str, between: str, before: str, after: str, flow: bool
) -> None:
    written = f"{key}{between}{before}{SECRET}{after}"
    inner = f"{{username: me, {written}}}" if flow else f"\n      {written}"
    text = (
        "backends:\n- name: a\n  probes:\n  - name: p\n    url: http://a.example/\n"
        f"    {holder}: {inner}\n"
    )
    assert SECRET not in str(outcome(text)), text
