"""What commands share: options, logging, and how errors end."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NoReturn

import click

from badgateway import config as settings
from badgateway import logs

CANNOT_TELL: Final = 2

Command = Callable[..., Any]


def config_option(command: Command) -> Command:
    """Add ``--config.file``."""
    return click.option(
        "--config.file",
        "config_file",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Configuration file; nothing is needed to start.",
    )(command)


def logging_options(command: Command) -> Command:
    """Add ``--log.level`` and ``--log.format``."""
    command = click.option(
        "--log.level",
        "log_level",
        type=click.Choice(logs.LEVELS),
        default="info",
        show_default=True,
        help="Least severity that is logged.",
    )(command)
    return click.option(
        "--log.format",
        "log_format",
        type=click.Choice(logs.FORMATS),
        default="logfmt",
        show_default=True,
        help="Format of the log, on standard error.",
    )(command)


def read_config(path: Path | None) -> settings.Config:
    """Return the configuration, or end with exit code 2 and what is wrong with it."""
    try:
        return settings.load(path)
    except settings.ConfigError as error:
        fail(str(error))


def fail(message: str, code: int = CANNOT_TELL) -> NoReturn:
    """End with a message on standard error."""
    click.echo(f"badgateway: {message}", err=True)
    sys.exit(code)
