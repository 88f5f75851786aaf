"""``badgateway discover``: the path map of this host, as found."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import click
import msgspec

from badgateway import logs
from badgateway.cli import common, hostlook
from badgateway.cli.help import Command
from badgateway.cli.hostlook import Host
from badgateway.cli.rendering import pathmap, startconfig, tree
from badgateway.cli.rendering.pathmap import Discovered
from badgateway.collectors.sight import HostSight
from badgateway.routecheck import sight


@click.command(cls=Command)
@click.option("--yaml", "as_yaml", is_flag=True, help="Print a configuration to start from.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@common.config_option
def discover(as_yaml: bool, as_json: bool, config_file: Path | None) -> None:
    """Show what is on this host: each proxy, its sites, where it leads them, what listens there.

    What --yaml prints is a configuration that `badgateway serve` takes as it is, and a list for
    `badgateway check --expect`.

    Exit codes: 0 found, 2 nothing found or cannot look.
    """
    logs.set_up("error", "logfmt")
    if as_yaml and as_json:
        common.fail("give either --yaml or --json")
    config = common.read_config(config_file)
    try:
        host = asyncio.run(hostlook.look(config))
    except TimeoutError:
        common.fail(f"this host did not tell what is on it within {hostlook.SECONDS:.0f} s")
    found = pathmap.discovered(host, asyncio.run(_sight(host)))
    if as_json:
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
    elif as_yaml:
        click.echo(startconfig.text(found, config.environment, time.time()), nl=False)
    else:
        tree.show(found)
    if not found.proxies and not found.applications:
        common.fail(
            "nothing was found: no unit, process or container runs a proxy or an application "
            "server that is known" + _unread(found)
        )


async def _sight(host: Host) -> HostSight:
    """Where the routes of those proxies lead that are in this host's network."""
    answers = host.findings.answers
    places = [p for p in host.findings.places if p.name in answers and not p.is_apart]
    routes = [route for place in places for route in answers[place.name].routes]
    running = [place for place in places if place.pid]
    # as whom each connects is known only where one does
    who = sight.identity(running[0]) if len(running) == 1 else None
    return await sight.look(routes, host.listeners, who)


def _unread(found: Discovered) -> str:
    return "; some sources cannot be read" if found.problems else ""
