"""The configuration reference: every key is in it, and every example in it is right."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_origin

import pytest
import yaml
from msgspec import Struct

from badgateway import config
from badgateway.cli import main
from badgateway.config import shape
from badgateway.config.schema import Config
from badgateway.reference import keys, page

CHECKOUT = Path(__file__).resolve().parents[2]
PAGE = page("configuration", main)
BLOCKS = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.M | re.S)
EXAMPLE = CHECKOUT / "deploy" / "badgateway.example.yml"


def used(struct: type[Struct], value: dict[str, Any]) -> set[tuple[str, str]]:
    """Return the keys, with their mapping's type, that a document uses."""
    found = set()
    for name, given in value.items():
        key = shape.keys(struct)[name]
        found.add((struct.__name__, name))
        below = keys.nested(key)
        if below is not None:
            items = given if get_origin(key.type.core) is tuple else [given]
            for item in items:
                found |= used(below, item)
    return found


def every_key() -> set[tuple[str, str]]:
    return {
        (section.struct.__name__, name)
        for section in keys.sections()
        for name in shape.keys(section.struct)
    }


@pytest.mark.parametrize("block", BLOCKS)
def test_every_example_is_a_configuration(block: str) -> None:
    assert config.parse(block) != config.Config()


def test_the_examples_together_use_every_key() -> None:
    found = set().union(*(used(Config, yaml.safe_load(block)) for block in BLOCKS))
    assert found == every_key()


def test_the_examples_of_the_tables_are_those_of_the_documents() -> None:
    shown = [
        keys.example(key)
        for section in keys.sections()
        for key in shape.keys(section.struct).values()
        if keys.nested(key) is None
    ]
    assert len(shown) > 30

    def values(node: Any) -> list[Any]:
        inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        return [node, *(value for child in inner for value in values(child))]

    written = [value for block in BLOCKS for value in values(yaml.safe_load(block))]
    assert [value for value in shown if value not in written] == []


def test_every_key_has_a_row_with_its_type_default_and_meaning() -> None:
    for section in keys.sections():
        for key in shape.keys(section.struct).values():
            row = re.search(rf"^\| `{key.name}` \| (.+?) \| (.+?) \|.*\| (.+?) \|$", PAGE, re.M)
            assert row, key.name
            assert keys.description(key).replace("|", "\\|") in PAGE


def test_every_duration_says_its_unit() -> None:
    durations = [
        key
        for section in keys.sections()
        for key in shape.keys(section.struct).values()
        if key.type.core is config.Duration
    ]
    assert durations
    assert {keys.noted(key, "unit") for key in durations} == {"seconds"}


def test_links_lead_to_sections() -> None:
    headings = re.findall(r"^## (.+)$", PAGE, re.M)
    anchors = {
        "".join(c for c in h.lower() if c.isalnum() or c in " -_").replace(" ", "-")
        for h in headings
    }
    assert set(re.findall(r"\]\(#(.+?)\)", PAGE)) <= anchors


def test_the_example_file_is_a_configuration_that_uses_every_key() -> None:
    text = EXAMPLE.read_text()
    assert config.parse(text, EXAMPLE.name).environment == "production"
    assert used(Config, yaml.safe_load(text)) == every_key()


def test_the_example_file_explains_every_key() -> None:
    said = " ".join(EXAMPLE.read_text().replace("#", " ").split())
    for section in keys.sections():
        for key in shape.keys(section.struct).values():
            assert " ".join(keys.description(key).split()) in said
