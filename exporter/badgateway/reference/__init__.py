"""The reference: Markdown made of the schema, the catalogue and the commands themselves.

``badgateway reference PAGE`` prints a page; ``python -m badgateway.reference`` writes all of them
to ``exporter/reference/`` of a checkout.
"""

from __future__ import annotations

from typing import Final

import click

from badgateway.reference import commands, configuration, metrics

PAGES: Final = ("configuration", "metrics", "commands")


def page(name: str, program: click.Group) -> str:
    """Return a page as Markdown.

    Args:
        name: one of ``PAGES``.
        program: the command line, whose commands are described.

    Raises:
        LookupError: a command does not say its exit codes.
    """
    if name == "commands":
        return commands.page(program)
    return {"configuration": configuration.page, "metrics": metrics.page}[name]()
