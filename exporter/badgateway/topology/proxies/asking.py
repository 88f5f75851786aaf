"""Proxies' configurations: what each kind of proxy serves, asked or read."""

from __future__ import annotations

from badgateway.blocking import Blocking
from badgateway.topology.caddy import asking as caddy_asking
from badgateway.topology.nginx.reading import NginxFiles
from badgateway.topology.proxies.place import ProxyFound, ProxyPlace


class Proxies:
    """Looks at the proxies of this host."""

    def __init__(self) -> None:
        self._nginx = NginxFiles()

    def is_current(self, place: ProxyPlace) -> bool:
        """Tell whether what was read last of a proxy's files still holds; may block.

        Only of an nginx: another's files are not known one by one.
        """
        return place.kind != "nginx" or self._nginx.is_current(place)

    async def look(
        self, place: ProxyPlace, disk: Blocking, run_adapter: bool, admin: str
    ) -> ProxyFound:
        """Return what the proxy at ``place`` serves. Never raises; problems are part of the answer.

        Args:
            place: where it is found.
            disk: for reading files.
            run_adapter: whether Caddy's own adapter may be run on a Caddyfile.
            admin: where its admin API told the last time.
        """
        if place.kind == "nginx":
            return await self._nginx.look(place, disk)
        return await caddy_asking.look(place, disk, run_adapter, admin)
