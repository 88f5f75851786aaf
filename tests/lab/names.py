"""A name server of a machine's own, whose names come and go (RFC 1035; A records only)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tests.lab.machine import Machine, Service

_RECORDS: Final = "/run/lab/names"
_SERVER: Final = f'''\
import pathlib
import socket

records = pathlib.Path("{_RECORDS}")
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))
while True:
    query, client = server.recvfrom(512)
    end, labels = 12, []
    while query[end]:
        labels.append(query[end + 1 : end + 1 + query[end]].decode())
        end += query[end] + 1
    question, kind = query[12 : end + 5], query[end + 1 : end + 3]
    known = dict(line.split() for line in records.read_text().splitlines())
    address = known.get(".".join(labels))
    answer = b""
    if address and kind == b"\\0\\1":
        answer = b"\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\1\\0\\4" + socket.inet_aton(address)
    flags = b"\\x81\\x80" if address else b"\\x81\\x83"
    counts = b"\\0\\1\\0" + bytes([bool(answer)]) + bytes(4)
    server.sendto(query[:2] + flags + counts + question + answer, client)
'''


def start(machine: Machine) -> None:
    """Start it as the machine's only name server; it knows no name yet."""
    write(machine, {})
    machine.write("/srv/names/names.py", _SERVER)
    machine.write("/etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    unit = "[Service]\nExecStart=/usr/bin/python3 /srv/names/names.py\nRestart=always\n"
    machine.start(Service("names", [], unit))


def write(machine: Machine, records: Mapping[str, str]) -> None:
    """Have it know exactly these names, name → IPv4 address."""
    text = "".join(f"{name} {address}\n" for name, address in records.items())
    machine.write(_RECORDS, text)
