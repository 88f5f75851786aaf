"""What a module named in ``No module named 'x.y'`` belongs to."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway.packages.findings import Report
from badgateway.packages.names import classify_missing

REPORT = Report(
    "will_fail",
    first_party=("shop", "settings"),
    providers={"fastapi": "fastapi", "google.cloud.storage": "google-cloud-storage"},
    declared={
        "slowapi": ">=0.1.9", "pyyaml": "", "flask-sqlalchemy": "", "python-dotenv": "",
        "psycopg2-binary": "", "secret": "url", "fastapi": "", "pytest-thing": "",
    },
    declared_in=dict.fromkeys(
        ("slowapi", "pyyaml", "flask-sqlalchemy", "python-dotenv", "psycopg2-binary", "secret"),
        "pyproject.toml",
    ),
    required_by={"anyio": ("starlette",), "google-cloud-core": ("google-cloud-storage",)},
    installed={"fastapi": "0.115", "google-cloud-storage": "2.0", "pip": "24"},
)  # fmt: skip


@pytest.mark.parametrize(
    ("module", "distribution", "basis"),
    [
        ("slowapi", "slowapi", "declared"),
        ("slowapi.errors", "slowapi", "declared"),
        ("yaml", "pyyaml", "known"),
        ("flask_sqlalchemy", "flask-sqlalchemy", "declared"),
        ("dotenv", "python-dotenv", "known"),
        ("psycopg2", "psycopg2-binary", "known"),
        ("pytest_thing.hooks", "pytest-thing", "declared"),
        ("fastapi.gone", "fastapi", "installed"),
        ("google.cloud.storage.blob", "google-cloud-storage", "installed"),
        ("google.protobuf", "protobuf", "known"),
        ("anyio", "anyio", "required"),
        ("PIL", "pillow", "known"),
        ("redis", "redis", "guess"),
    ],
)
def test_a_dependency_is_named(module: str, distribution: str, basis: str) -> None:
    found = classify_missing(module, REPORT)
    assert (found.kind, found.distribution, found.basis) == ("dependency", distribution, basis)
    assert found.declared == REPORT.declared.get(distribution, "")
    assert found.declared_in == REPORT.declared_in.get(distribution, "")


@pytest.mark.parametrize(
    ("module", "similar"),
    [
        ("shop.rates", "shop"),
        ("settngs", "settings"),
        ("shopp.api", "shop"),
        ("setings", "settings"),
    ],
)
def test_an_own_module_is_told_from_a_dependency(module: str, similar: str) -> None:
    found = classify_missing(module, REPORT)
    assert (found.kind, found.distribution, found.similar) == ("own_module", "", similar)


@pytest.mark.parametrize("module", ["distutils", "imp", "cgi", "asyncore.dispatcher"])
def test_a_module_that_python_dropped_is_neither(module: str) -> None:
    assert classify_missing(module, REPORT).kind == "standard_module"


def test_what_was_learnt_while_healthy_comes_first() -> None:
    remembered = {"paybridge": "acme-billing-sdk", "yaml": "ruamel-something"}
    assert classify_missing("paybridge.api", REPORT, remembered).distribution == "acme-billing-sdk"
    assert classify_missing("yaml", REPORT, remembered).basis == "remembered"


def test_the_importer_decides_where_the_name_does_not() -> None:
    alone = classify_missing("google.cloud._helpers", REPORT)
    assert (alone.distribution, alone.basis) == ("google", "guess")
    found = classify_missing(
        "google.cloud._helpers", REPORT, importer="google.cloud.storage.client"
    )
    assert (found.distribution, found.basis) == ("google-cloud-core", "required")


def test_a_url_requirement_shows_as_url() -> None:
    assert classify_missing("secret", REPORT).declared == "url"


def test_a_report_from_another_process_answers_the_same() -> None:
    other = msgspec.json.decode(msgspec.json.encode(REPORT), type=Report)
    for module in ("yaml", "settngs", "anyio", "slowapi.errors"):
        assert classify_missing(module, other) == classify_missing(module, REPORT)


@given(st.text(max_size=40))
def test_any_name_has_an_answer(module: str) -> None:
    assert classify_missing(module, REPORT).kind in (
        "dependency", "own_module", "standard_module",
    )  # fmt: skip
