"""``badgateway reference``: configuration keys, metrics and commands, in the terminal."""

from __future__ import annotations

import sys

import click
from rich.console import Console
from rich.markdown import Markdown

from badgateway.cli.help import Command
from badgateway.reference import PAGES, page


@click.command(cls=Command)
@click.argument(
    "name", type=click.Choice(PAGES), default="configuration", metavar=f"[{'|'.join(PAGES)}]"
)
@click.pass_context
def reference(context: click.Context, name: str) -> None:
    """Print the reference of configuration keys, of metrics or of commands.

    On a terminal it is laid out; elsewhere it is Markdown.

    Exit codes: 0 printed, 2 no such page.
    """
    program = context.find_root().command
    assert isinstance(program, click.Group)
    text = page(name, program)
    if sys.stdout.isatty():
        Console().print(Markdown(text))
    else:
        click.echo(text, nl=False)
