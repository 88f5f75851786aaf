"""The path map for a person: proxy → site → upstream → application, as a tree."""

from __future__ import annotations

from typing import Final

from rich.console import Console
from rich.tree import Tree

from badgateway import vocabulary
from badgateway.cli.rendering.pathmap import (
    Application,
    Discovered,
    FoundProxy,
    Site,
    Upstream,
)
from badgateway.cli.rendering.words import shown

_GOOD: Final = ("listening", "remote")
_WIDE: Final = 1000
"""Columns of what is no terminal: nothing is wrapped."""
_MANAGERS: Final = {
    "systemd": "unit",
    "docker": "container",
    "process": "a process alone",
    "": "configured",
}


def show(found: Discovered) -> None:
    """Print what was found, in colour on a terminal."""
    console = Console(highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = _WIDE
    known = {application.name: application for application in found.applications}
    for proxy in found.proxies:
        console.print(_proxy(proxy, known))
    alone = [application for application in found.applications if not application.led_to]
    if alone:
        tree = Tree("[bold]no proxy leads to[/]")
        for application in alone:
            _application(tree, application)
        console.print(tree)
    if found.problems:
        tree = Tree("[yellow]cannot be read[/]")
        for source, problem in found.problems.items():
            tree.add(shown(f"{source}: {problem}"))
        console.print(tree)


def _proxy(proxy: FoundProxy, known: dict[str, Application]) -> Tree:
    where = [f"unit {proxy.unit}"] if proxy.unit else []
    where += [f"container {proxy.container}"] if proxy.container else []
    where += [proxy.config] if proxy.config else []
    where += [f"admin API {proxy.admin}"] if proxy.admin else []
    state = {True: "", False: "  [bold red]does not run[/]", None: "  [yellow]not seen running[/]"}
    head = f"[bold]{shown(proxy.name)}[/]  {proxy.kind}"
    tree = Tree(f"{head}{shown('  ' + ', '.join(where)) if where else ''}{state[proxy.running]}")
    for site in proxy.sites:
        _site(tree, site, known)
    led = {site.site for site in proxy.sites}
    for name, status in proxy.answers_itself.items():
        if name not in led:
            tree.add(f"{shown(_called(name))}  [yellow]answers {status} by itself[/]")
    if not proxy.sites and not proxy.answers_itself:
        tree.add("[dim]leads nowhere[/]")
    return tree


def _site(tree: Tree, site: Site, known: dict[str, Application]) -> None:
    scheme = "https" if site.tls else "http"
    branch = tree.add(f"{shown(_called(site.site))}  [dim]{scheme}, at {shown(site.listen)}[/]")
    for upstream in site.upstreams:
        leaf = branch.add(_upstream(upstream))
        application = known.get(upstream.application)
        if application is not None:
            _application(leaf, application)


def _upstream(upstream: Upstream) -> str:
    colour = "green" if upstream.state in _GOOD else "bold red"
    if upstream.state == "unknown" or upstream.backup:
        colour = "yellow"
    words = vocabulary.DESTINATIONS[upstream.state]
    owner = f" ({upstream.owner})" if upstream.owner else ""
    backup = "  backup" if upstream.backup else ""
    place = f"  [dim]{shown(upstream.place)}[/]" if upstream.place else ""
    return f"{shown(upstream.address)}{backup}  [{colour}]{words}[/]{shown(owner)}{place}"


def _application(tree: Tree, application: Application) -> None:
    manager = _MANAGERS[application.manager]
    unit = f" {application.unit}" if application.unit else ""
    branch = tree.add(f"[bold]{shown(application.name)}[/]  {manager}{shown(unit)}")
    if application.server != "unknown":
        entry = f" {application.entry}" if application.entry else ""
        workers = f"{application.workers} worker{'s' if application.workers != 1 else ''}"
        at = f", at {', '.join(application.listens)}" if application.listens else ""
        branch = branch.add(shown(f"{application.server}{entry}, {workers}{at}"))
    told = [
        f"{what} {path}"
        for what, path in (
            ("virtualenv", application.virtualenv), ("project", application.project)
        )
        if path
    ]  # fmt: skip
    if told:
        branch.add(shown(", ".join(told)))


def _called(site: str) -> str:
    return "every other host name" if site == "*" else site
