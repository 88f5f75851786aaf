"""``badgateway serve``: the exporter."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
from pathlib import Path

import click
from click.core import ParameterSource

from badgateway import __version__, logs, state
from badgateway import config as settings
from badgateway.cli import common
from badgateway.cli.help import Command
from badgateway.exporter import Exporter
from badgateway.lifecycle import Lifecycle, notifier
from badgateway.web import listen
from badgateway.web.app import MAX_REQUESTS, application
from badgateway.web.current import Current
from badgateway.web.listen import Listener, ListenError
from badgateway.web.server import Server
from badgateway.web.weboptions import WebConfigError

log = logging.getLogger("badgateway")

STOP_SECONDS = 1.5


@click.command(cls=Command)
@common.config_option
@click.option(
    "--config.check",
    "check_only",
    is_flag=True,
    help="Read the configuration and the web configuration, say what is wrong, start nothing.",
)
@click.option(
    "--web.listen-address",
    "addresses",
    multiple=True,
    default=(listen.DEFAULT,),
    show_default=True,
    help="Address to listen at: host:port, :port, [ipv6]:port or unix:/path (mode 0660). "
    "Repeatable.",
)
@click.option(
    "--web.systemd-socket",
    "systemd_socket",
    is_flag=True,
    help="Listen at the sockets systemd passes (badgateway.socket) instead.",
)
@click.option(
    "--web.config.file",
    "web_config_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="TLS, users and headers, in the format of Prometheus' exporter-toolkit.",
)
@click.option(
    "--web.enable-lifecycle",
    "lifecycle_enabled",
    is_flag=True,
    help="Let POST /-/reload read the configuration again.",
)
@click.option(
    "--web.max-requests",
    "max_requests",
    type=click.IntRange(min=0),
    default=MAX_REQUESTS,
    show_default=True,
    help="Scrapes answered at once; 0 for no limit.",
)
@click.option(
    "--storage.path",
    "storage",
    type=click.Path(file_okay=False, path_type=Path),
    help="State directory.  [default: systemd's, else one under the user's state home]",
)
@common.logging_options
@click.version_option(__version__, prog_name="badgateway")
@click.pass_context
def serve(
    context: click.Context,
    config_file: Path | None,
    check_only: bool,
    addresses: tuple[str, ...],
    systemd_socket: bool,
    web_config_file: Path | None,
    lifecycle_enabled: bool,
    max_requests: int,
    storage: Path | None,
    log_level: str,
    log_format: str,
) -> None:
    """Watch this host and serve what is found to Prometheus.

    Exit codes: 0 stopped as asked or checked and good, 2 cannot serve (configuration, address or
    state directory).
    """
    # A reload asked for while this starts is done once it can be, instead of ending it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    logs.set_up(log_level, log_format)
    given = context.get_parameter_source("addresses") is not ParameterSource.DEFAULT
    if systemd_socket and given:
        common.fail("give either --web.listen-address or --web.systemd-socket")
    config = common.read_config(config_file)
    try:
        current = Current(web_config_file)
    except WebConfigError as error:
        common.fail(str(error))
    try:
        if check_only:
            for address in addresses:
                listen.parse(address)
            _say_checked(config, config_file, current, web_config_file)
            return
        listeners = listen.from_systemd() if systemd_socket else listen.listen(addresses)
    except ListenError as error:
        common.fail(str(error))
    try:
        asyncio.run(
            _serve(
                config, config_file, storage or default_storage(), listeners, current,
                lifecycle_enabled, max_requests,
            )
        )  # fmt: skip
    except state.StateError as error:
        common.fail(str(error))
    finally:
        listen.close(listeners)


def _say_checked(
    config: settings.Config, config_file: Path | None, current: Current, web: Path | None
) -> None:
    if config_file is None and web is None:
        click.echo("nothing to check: neither --config.file nor --web.config.file is given")
    if config_file is not None:
        what = f"{len(config.backends)} backends, {len(config.proxies)} proxies named"
        click.echo(f"{config_file}: OK ({what})")
    if web is not None:
        click.echo(f"{web}: OK ({current.config.summary})")


def default_storage() -> Path:
    """Return the state directory: systemd's (``STATE_DIRECTORY``), else the user's."""
    given = os.environ.get("STATE_DIRECTORY")
    if given:
        return Path(given.partition(":")[0])
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "badgateway"


async def _serve(
    config: settings.Config,
    config_file: Path | None,
    storage: Path,
    listeners: list[Listener],
    current: Current,
    lifecycle_enabled: bool,
    max_requests: int,
) -> None:
    exporter = Exporter(config, storage)
    lifecycle = Lifecycle(exporter, config_file, notifier())
    app = application(
        exporter,
        current,
        reload=lifecycle.reload if lifecycle_enabled else None,
        max_requests=max_requests,
    )
    server = Server(app, listeners, current)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    loop.add_signal_handler(signal.SIGHUP, lifecycle.request_reload)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
    gc.freeze()  # what was loaded at the start is never garbage
    await exporter.start()
    serving = asyncio.create_task(server.serve())
    scheme = "https" if current.is_tls else "http"
    for listener in listeners:
        name = listener.name
        url = name if name.startswith("unix:") else f"{scheme}://{name}"
        log.info("listening at %s, state in %s", url, storage)
    exporter.supervisor.spawn("lifecycle", lifecycle.run)
    waiting = asyncio.create_task(stopping.wait())
    await asyncio.wait((serving, waiting), return_when=asyncio.FIRST_COMPLETED)
    log.info("stopping")
    lifecycle.stopping()
    server.stop()
    await asyncio.wait((serving,), timeout=STOP_SECONDS)
    await exporter.stop()
