"""The command reference: every command, flag, default and exit code."""

from __future__ import annotations

import re

import click
import pytest

from badgateway.cli import main
from badgateway.cli.help import exit_codes
from badgateway.reference import commands, page

PAGE = page("commands", main)
COMMANDS = {name: command for name, command in main.commands.items() if not command.hidden}


def section(name: str) -> str:
    (found,) = re.findall(rf"^## badgateway {name}\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)
    return str(found)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_flag_is_told(name: str) -> None:
    for parameter in COMMANDS[name].params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert parameter.help, parameter.opts
            assert any(option in section(name) for option in parameter.opts)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_default_is_told(name: str) -> None:
    for parameter in COMMANDS[name].params:
        if isinstance(parameter, click.Option) and not parameter.is_flag:
            default = parameter.default
            if isinstance(default, str | int) and default != "":
                assert f"default: {default}" in section(name)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_its_exit_codes(name: str) -> None:
    said = exit_codes(COMMANDS[name])
    assert "0" in said
    for code, meaning in said.items():
        assert f"| {code} | {meaning} |" in section(name)


def test_a_command_without_exit_codes_is_refused() -> None:
    silent = click.Command("silent", help="Says nothing.")
    with pytest.raises(LookupError, match="`silent` does not say its exit codes"):
        commands.describe(silent, click.Context(silent))
