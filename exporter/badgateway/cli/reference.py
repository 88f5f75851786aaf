"""``badgateway reference``: configuration keys, metrics and commands, in the terminal."""

from __future__ import annotations

import sys

import click
from rich.console import Console
from rich.markdown import Markdown

from badgateway.cli.help import Command
from badgateway.reference import PAGES


@click.command(cls=Command)
@click.argument(
    "name", type=click.Choice(list(PAGES)), default="configuration", metavar=f"[{'|'.join(PAGES)}]"
)
def reference(name: str) -> None:
    """Print the reference of configuration keys, of metrics or of commands.

    On a terminal it is laid out; elsewhere it is Markdown.

    Exit codes: 0 printed, 2 no such page.
    """
    text = PAGES[name]()
    if sys.stdout.isatty():
        Console().print(Markdown(text))
    else:
        click.echo(text, nl=False)
