"""``badgateway completion``: what a shell needs to complete commands and options."""

from __future__ import annotations

from typing import Final

import click
from click.shell_completion import get_completion_class

from badgateway.cli.help import Command

PROGRAM: Final = "badgateway"
SHELLS: Final = ("bash", "zsh", "fish")


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what makes SHELL complete this program's commands, options and values.

    \b
    bash: badgateway completion bash > ~/.local/share/bash-completion/completions/badgateway
    zsh:  badgateway completion zsh > "${fpath[1]}/_badgateway"
    fish: badgateway completion fish > ~/.config/fish/completions/badgateway.fish

    Exit codes: 0 printed, 2 unknown shell.
    """
    kind = get_completion_class(shell)
    assert kind is not None
    command = context.find_root().command
    # click's bash form starts bash to ask for its version: what is shown needs bash 4.4
    maker = kind(command, {}, PROGRAM, f"_{PROGRAM.upper()}_COMPLETE")
    click.echo(maker.source_template % maker.source_vars())
