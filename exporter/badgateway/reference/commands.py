"""The page about commands, made of the commands themselves."""

from __future__ import annotations

from typing import Final

import click

from badgateway.cli.help import EXIT_CODES, exit_codes, paragraphs
from badgateway.reference.markdown import code, table

_HEAD: Final = """\
# Commands

Generated from the commands by `python -m badgateway.reference`; do not edit.
"""


def page(program: click.Group) -> str:
    """Return the page as Markdown.

    Raises:
        LookupError: a command does not say its exit codes.
    """
    text = _HEAD
    context = click.Context(program, info_name="badgateway", **program.context_settings)
    for name in sorted(program.commands):
        command = program.commands[name]
        if not command.hidden:
            text += describe(command, click.Context(command, info_name=name, parent=context))
    return text


def describe(command: click.Command, context: click.Context) -> str:
    """Return a command's section.

    Raises:
        LookupError: it does not say its exit codes.
    """
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    text = f"\n## badgateway {context.info_name}\n\n```\n{usage}\n```\n\n"
    for paragraph in paragraphs(command):
        if paragraph.startswith("\b\n"):  # click's mark of lines that stay as they are
            text += f"```\n{paragraph[2:]}\n```\n\n"
        elif not paragraph.startswith(EXIT_CODES):
            text += f"{paragraph}\n\n"
    records = [
        record
        for parameter in command.get_params(context)
        if (record := parameter.get_help_record(context)) is not None
    ]
    text += table(("Flag", "Meaning"), ((code(flag), _one_line(told)) for flag, told in records))
    codes = exit_codes(command)
    if not codes:
        raise LookupError(f"the help of `{command.name}` does not say its exit codes")
    return f"{text}\n{table(('Exit code', 'Meaning'), codes.items())}"


def _one_line(text: str) -> str:
    return " ".join(text.split())
