"""This host's own IP addresses."""

from __future__ import annotations

import ipaddress
import socket

import psutil


def own_addresses() -> tuple[str, ...]:
    """Return them in the order of the interfaces, without those of the loopback interface."""
    found = (
        address.address.partition("%")[0]
        for addresses in psutil.net_if_addrs().values()
        for address in addresses
        if address.family in (socket.AF_INET, socket.AF_INET6)
    )
    return tuple(address for address in found if not ipaddress.ip_address(address).is_loopback)
