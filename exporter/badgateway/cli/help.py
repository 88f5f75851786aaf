"""Help texts: options grouped by the word before their first dot, as Prometheus programs have them.

A command's exit codes are the paragraph of its description that begins with ``Exit codes:``; it is
shown last, where scripts' authors look.
"""

from __future__ import annotations

import inspect
import re
from typing import Any, Final

import click

_GROUPS: Final = {
    "config": "Configuration",
    "web": "Web",
    "storage": "State",
    "log": "Log",
}
_INTERRUPTED: Final = 130
EXIT_CODES: Final = "Exit codes:"
_BEFORE_CODE: Final = re.compile(r"[,;] (?=\d+ |else )")


class Command(click.Command):
    """A command whose options are shown in groups; interrupted, it ends as programs do."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run it; interrupted, it ends with 130, as a shell says it."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(_INTERRUPTED)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, those without a group first."""
        groups: dict[str, list[tuple[str, str]]] = {"Options": []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                groups.setdefault(_group(parameter), []).append(record)
        for title, records in groups.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the description without the exit codes."""
        text = "\n\n".join(p for p in paragraphs(self) if not p.startswith(EXIT_CODES))
        if text:
            formatter.write_paragraph()
            with formatter.indentation():
                formatter.write_text(text)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the exit codes, a line each."""
        codes = exit_codes(self)
        if codes:
            with formatter.section("Exit codes"):
                formatter.write_dl([(code, meaning) for code, meaning in codes.items()])
        super().format_epilog(ctx, formatter)


class Group(click.Group):
    """Commands that show their options in groups."""

    command_class = Command


def exit_codes(command: click.Command) -> dict[str, str]:
    """Return exit code → what it means, as a command's description has them.

    They are written as ``Exit codes: 0 good, 1 bad (this, that), else …``.
    """
    for paragraph in paragraphs(command):
        if paragraph.startswith(EXIT_CODES):
            text = paragraph.removeprefix(EXIT_CODES).strip().rstrip(".")
            items = (item.partition(" ") for item in _BEFORE_CODE.split(text))
            return {code: meaning for code, _, meaning in items}
    return {}


def paragraphs(command: click.Command) -> list[str]:
    """Return the paragraphs of a command's description, each one line but those kept as lines."""
    text = inspect.cleandoc(command.help or "").partition("\f")[0]
    return [
        paragraph if paragraph.startswith("\b") else " ".join(paragraph.split())
        for paragraph in text.split("\n\n")
        if paragraph
    ]


def _group(parameter: click.Parameter) -> str:
    names = [name.lstrip("-") for name in parameter.opts]
    word, dot, _ = names[0].partition(".")
    return _GROUPS.get(word, "Options") if dot else "Options"
