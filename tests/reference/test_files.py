"""The generated files are those that the sources would generate now."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from badgateway.cli import main
from badgateway.reference import PAGES, page
from badgateway.reference import __main__ as written

CHECKOUT = Path(__file__).resolve().parents[2]
FILES = written.files(CHECKOUT)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_generated_file_is_up_to_date(path: Path) -> None:
    found = path.read_text() if path.exists() else None
    if found != FILES[path]:
        pytest.fail(
            f"{path.relative_to(CHECKOUT)} is out of date: run `python -m badgateway.reference`",
            pytrace=False,
        )


def test_writing_makes_exactly_these_files(tmp_path: Path) -> None:
    assert written.main([str(tmp_path)]) == 0
    made = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert {path.relative_to(tmp_path) for path in made} == {p.relative_to(CHECKOUT) for p in FILES}
    for path, text in FILES.items():
        assert (tmp_path / path.relative_to(CHECKOUT)).read_text() == text


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_printed(name: str) -> None:
    result = CliRunner().invoke(main, ["reference", name])
    assert result.exit_code == 0
    assert result.output == page(name, main)


def test_the_configuration_is_printed_by_default() -> None:
    result = CliRunner().invoke(main, ["reference"])
    assert result.output == page("configuration", main)


def test_an_unknown_page_is_refused() -> None:
    result = CliRunner().invoke(main, ["reference", "colours"])
    assert result.exit_code == 2
    assert "'configuration', 'metrics', 'commands'" in result.output


def test_pages_name_nothing_of_this_machine() -> None:
    for text in FILES.values():
        assert str(CHECKOUT) not in text
        assert str(Path.home()) not in text
