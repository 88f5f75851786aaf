from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from badgateway.cli import main
from badgateway.cli.help import Command, exit_codes


def shown(*arguments: str) -> str:
    done = CliRunner().invoke(main, [*arguments, "--help"], prog_name="badgateway")
    assert done.exit_code == 0
    return done.output


def test_options_are_shown_in_groups_and_exit_codes_last() -> None:
    text = shown("serve")
    headings = [line for line in text.splitlines() if line[:1].isalpha() and line.endswith(":")]
    assert headings == ["Options:", "Configuration:", "Web:", "State:", "Log:", "Exit codes:"]
    web = text[text.index("Web:") : text.index("State:")]
    assert web.count("\n  --web.") == sum(
        "--web." in p.opts[0] for p in main.commands["serve"].params
    )
    assert "Exit codes: " not in text


@pytest.mark.parametrize("name", main.commands)
def test_every_command_shows_its_exit_codes(name: str) -> None:
    command = main.commands[name]
    assert isinstance(command, Command)
    assert "0" in exit_codes(command)
    assert "\nExit codes:\n" in shown(name)


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("Exit codes: 0 good, 1 bad.", {"0": "good", "1": "bad"}),
        ("Exit codes: 0 good (a, b), 2 bad; else others.",
         {"0": "good (a, b)", "2": "bad", "else": "others"}),
        ("Does this.\n\n    Exit codes: 0 over\n    two lines.", {"0": "over two lines"}),
        ("Does this.", {}),
    ],
)  # fmt: skip
def test_exit_codes_are_read_from_the_description(text: str, codes: dict[str, str]) -> None:
    assert exit_codes(click.Command("x", help=text)) == codes


def test_short_help_works_everywhere() -> None:
    for name in main.commands:
        assert CliRunner().invoke(main, [name, "-h"]).exit_code == 0


def test_an_unknown_command_ends_with_two() -> None:
    done = CliRunner().invoke(main, ["diagnos"])
    assert done.exit_code == 2
