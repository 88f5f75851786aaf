"""What commands share: options, logging, and how errors end."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NoReturn

import click

from badgateway import config as settings

CANNOT_TELL: Final = 2

LEVELS: Final = ("debug", "info", "warning", "error")

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
        type=click.Choice(LEVELS),
        default="info",
        show_default=True,
        help="Least severity that is logged.",
    )(command)
    return click.option(
        "--log.format",
        "log_format",
        type=click.Choice(["logfmt", "json"]),
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


def set_up_logging(level: str, form: str) -> None:
    """Send log lines to standard error, one line each."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Json() if form == "json" else _Logfmt())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for noisy in ("httpx", "httpcore", "asyncio", "dbus_fast", "uvicorn"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


class _Logfmt(logging.Formatter):
    """``time=… level=… logger=… msg="…"``."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        text = _message(record, self).replace("\\", "\\\\").replace('"', '\\"')
        text = text.replace("\n", "\\n")
        return (
            f"time={_stamp(record)} level={record.levelname.lower()} "
            f'logger={record.name} msg="{text}"'
        )


class _Json(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        return json.dumps(
            {
                "time": _stamp(record),
                "level": record.levelname.lower(),
                "logger": record.name,
                "msg": _message(record, self),
            }
        )


def _message(record: logging.LogRecord, formatter: logging.Formatter) -> str:
    text = record.getMessage()
    if record.exc_info:
        text += "\n" + formatter.formatException(record.exc_info)
    return text


def _stamp(record: logging.LogRecord) -> str:
    seconds = time.gmtime(record.created)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', seconds)}.{int(record.msecs):03d}Z"
