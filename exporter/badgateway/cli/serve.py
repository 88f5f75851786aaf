"""``badgateway serve``: the exporter."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import click
import uvicorn

from badgateway import __version__, state
from badgateway import config as settings
from badgateway.cli import common
from badgateway.exporter import Exporter
from badgateway.web.app import application

log = logging.getLogger("badgateway")

STOP_SECONDS = 1.5
TICK_SECONDS = 0.5


@click.command()
@common.config_option
@click.option(
    "--web.listen-address",
    "listen",
    default="127.0.0.1:10502",
    show_default=True,
    help="Address to listen at, host:port.",
)
@click.option(
    "--storage.path",
    "storage",
    type=click.Path(file_okay=False, path_type=Path),
    help="State directory.  [default: systemd's, else one under the user's state home]",
)
@common.logging_options
@click.version_option(__version__, prog_name="badgateway")
def serve(
    config_file: Path | None, listen: str, storage: Path | None, log_level: str, log_format: str
) -> None:
    """Watch this host and serve what is found to Prometheus.

    Exit codes: 0 stopped as asked, 2 cannot serve (configuration, address or state directory).
    """
    common.set_up_logging(log_level, log_format)
    config = common.read_config(config_file)
    try:
        exporter_socket = bind(listen)
    except ValueError as error:
        common.fail(str(error))
    try:
        asyncio.run(_serve(config, storage or default_storage(), exporter_socket))
    except state.StateError as error:
        common.fail(str(error))
    finally:
        exporter_socket.close()


def bind(address: str) -> socket.socket:
    """Return a socket bound to ``host:port``.

    Raises:
        ValueError: not an address, or not to be had; the text says what would help.
    """
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    if not port.isdigit() or int(port) > 65535:
        raise ValueError(f"--web.listen-address {address}: write it as host:port")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, int(port)))
    except (OSError, OverflowError) as error:
        found.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise ValueError(
            f"cannot listen at {address}: {reason}; choose another with --web.listen-address"
        ) from None
    return found


def default_storage() -> Path:
    """Return the state directory: systemd's (``STATE_DIRECTORY``), else the user's."""
    given = os.environ.get("STATE_DIRECTORY")
    if given:
        return Path(given.partition(":")[0])
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "badgateway"


class _Server(uvicorn.Server):
    """uvicorn without signal handling of its own, and without waking up ten times a second."""

    async def main_loop(self) -> None:
        """Keep the Date header, until asked to exit."""
        while not self.should_exit:
            await self.on_tick(0)
            await asyncio.sleep(TICK_SECONDS)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to ``_serve``."""
        yield


async def _serve(config: settings.Config, storage: Path, listener: socket.socket) -> None:
    exporter = Exporter(config, storage)
    server = _Server(
        uvicorn.Config(
            application(exporter),
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=1,
            limit_concurrency=200,
        )
    )
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    gc.freeze()  # what was loaded at the start is never garbage
    await exporter.start()
    serving = asyncio.create_task(server.serve([listener]))
    host, port = listener.getsockname()[:2]
    log.info("listening at http://%s:%d, state in %s", host, port, storage)
    waiting = asyncio.create_task(stopping.wait())
    await asyncio.wait((serving, waiting), return_when=asyncio.FIRST_COMPLETED)
    log.info("stopping")
    server.should_exit = True
    await asyncio.wait((serving,), timeout=STOP_SECONDS)
    await exporter.stop()
