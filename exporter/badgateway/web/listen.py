"""Where to listen: ``--web.listen-address`` and systemd's sockets, turned into bound sockets.

Addresses are written as Prometheus writes them: ``host:port``, ``:port`` for every address of the
host in both families, ``[::1]:port``; and ``unix:/path``, which gets the mode ``UNIX_MODE``.
Everything is bound, and listens, before anything else is started: whoever connects meanwhile
waits instead of being refused.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DEFAULT: Final = "127.0.0.1:10502"
UNIX_MODE: Final = 0o660
BACKLOG: Final = 512
_REMEDY: Final = "choose another with --web.listen-address"
_HOST_PORT: Final = re.compile(
    r"(?:\[(?P<six>[^\[\]]+)\]|(?P<host>[^\[\]:]*)):(?P<port>[0-9]{1,5})"
)


class ListenError(Exception):
    """An address is none, or is not to be had; the text names it and what would help."""


@dataclass(frozen=True, slots=True)
class Tcp:
    """A TCP address; an empty host means every address of both families."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Unix:
    """A unix socket's absolute path."""

    path: Path


@dataclass(frozen=True, slots=True)
class Listener:
    """A socket that listens.

    Attributes:
        socket: non-blocking; whoever gets it closes it by ``close``.
        name: how to reach it, such as ``127.0.0.1:10502``, ``[::]:10502`` or ``unix:/path``.
        made: (path, device, inode) of a unix socket that we made and shall remove; else None.
    """

    socket: socket.socket
    name: str
    made: tuple[Path, int, int] | None = None

    def close(self) -> None:
        """Close the socket and remove the file that was made for it."""
        self.socket.close()
        if self.made is None:
            return
        path, device, inode = self.made
        try:
            found = path.lstat()
            if (found.st_dev, found.st_ino) == (device, inode):
                path.unlink()
        except OSError:
            pass  # somebody else has removed it, or may no longer be removed by us


def parse(address: str) -> Tcp | Unix:
    """Return what ``address`` means.

    Raises:
        ListenError: it is not written as one.
    """
    if address.startswith("unix:"):
        path = address.removeprefix("unix:")
        if not path.startswith("/") or "\0" in path:
            raise ListenError(
                f"--web.listen-address {address}: write a unix socket as unix:/absolute/path"
            )
        return Unix(Path(path))
    found = _HOST_PORT.fullmatch(address)
    if found is None or int(found["port"]) > 65535 or (found["six"] and ":" not in found["six"]):
        raise ListenError(
            f"--web.listen-address {address}: "
            "write it as host:port, :port, [ipv6]:port or unix:/path"
        )
    return Tcp(found["six"] or found["host"] or "", int(found["port"]))


def listen(addresses: Sequence[str]) -> list[Listener]:
    """Return one listener for each address: all of them, or none.

    Raises:
        ListenError: one is not written as an address, is taken, or is not of this host.
    """
    wanted = [(address, parse(address)) for address in dict.fromkeys(addresses)]
    found: list[Listener] = []
    try:
        for address, meaning in wanted:
            if isinstance(meaning, Unix):
                found.append(_unix(address, meaning.path))
            else:
                found.append(_tcp(address, meaning))
    except ListenError:
        close(found)
        raise
    return found


def close(listeners: Iterable[Listener]) -> None:
    """Close every listener."""
    for listener in listeners:
        listener.close()


def _tcp(address: str, wanted: Tcp) -> Listener:
    try:
        made = _bound(wanted)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        if getattr(error, "errno", None) == errno.EADDRINUSE:
            reason = "Address already in use"
        raise ListenError(f"cannot listen at {address}: {reason}; {_REMEDY}") from None
    return Listener(made, _name(made))


def _bound(wanted: Tcp) -> socket.socket:
    if not wanted.host:
        if socket.has_dualstack_ipv6():
            made = socket.create_server(
                ("", wanted.port), family=socket.AF_INET6, backlog=BACKLOG, dualstack_ipv6=True
            )
        else:
            made = socket.create_server(("", wanted.port), backlog=BACKLOG)
    else:
        found = socket.getaddrinfo(
            wanted.host, wanted.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        # Of a name with both, IPv4, as Go's net.Listen does.
        family, _, _, _, where = min(found, key=lambda entry: entry[0] != socket.AF_INET)
        made = socket.socket(family, socket.SOCK_STREAM)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            made.bind(where)
            made.listen(BACKLOG)
        except BaseException:
            made.close()
            raise
    made.setblocking(False)
    return made


def _unix(address: str, path: Path) -> Listener:
    remedy = "remove it or choose another with --web.listen-address"
    try:
        found = path.lstat()
    except FileNotFoundError:
        pass
    except OSError as error:
        raise ListenError(f"cannot listen at {address}: {error.strerror}; {_REMEDY}") from None
    else:
        if not stat.S_ISSOCK(found.st_mode):
            raise ListenError(f"cannot listen at {address}: it is there and no socket; {remedy}")
        _replace_stale(address, path)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o777 & ~UNIX_MODE)
    try:
        made.bind(str(path))
        made.listen(BACKLOG)
        inode = path.lstat()
    except OSError as error:
        made.close()
        reason = error.strerror or str(error)
        raise ListenError(f"cannot listen at {address}: {reason}; {_REMEDY}") from None
    finally:
        os.umask(before)
    made.setblocking(False)
    return Listener(made, address, (path, inode.st_dev, inode.st_ino))


def _replace_stale(address: str, path: Path) -> None:
    """Remove a socket file at which nobody answers.

    Raises:
        ListenError: somebody answers, or it cannot be told or removed.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(1)
        try:
            asking.connect(str(path))
        except ConnectionRefusedError:
            pass
        except OSError as error:
            reason = error.strerror or str(error)
            raise ListenError(
                f"cannot listen at {address}: it is there and cannot be asked ({reason}); {_REMEDY}"
            ) from None
        else:
            raise ListenError(f"cannot listen at {address}: Address already in use; {_REMEDY}")
    try:
        path.unlink()
    except OSError as error:
        raise ListenError(f"cannot listen at {address}: {error.strerror}; {_REMEDY}") from None


def from_systemd() -> list[Listener]:
    """Return the sockets that systemd passed (``LISTEN_FDS``), ``--web.systemd-socket``.

    Raises:
        ListenError: none was passed, one does not listen, or systemd-python is missing.
    """
    flag = "--web.systemd-socket"
    try:
        from systemd.daemon import listen_fds
    except ImportError:
        raise ListenError(
            f"{flag} needs systemd-python: install badgateway with its `journal` extra"
        ) from None
    found: list[Listener] = []
    for descriptor in listen_fds():
        try:
            passed = socket.socket(fileno=descriptor)
        except OSError as error:
            close(found)
            raise ListenError(
                f"{flag}: descriptor {descriptor} is no socket: {error.strerror}"
            ) from None
        listens = passed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        if passed.type != socket.SOCK_STREAM or not listens:
            close([*found, Listener(passed, "")])
            raise ListenError(
                f"{flag}: descriptor {descriptor} does not listen for streams; "
                "the socket unit needs ListenStream= and Accept=no"
            )
        passed.setblocking(False)
        passed.set_inheritable(False)
        found.append(Listener(passed, _name(passed)))
    if not found:
        raise ListenError(
            f"{flag}: no socket was passed; start it by its socket unit "
            "(systemctl start badgateway.socket) or leave the flag out"
        )
    return found


def _name(of: socket.socket) -> str:
    where = of.getsockname()
    if of.family == socket.AF_UNIX:
        return f"unix:{where if isinstance(where, str) else os.fsdecode(where)}"
    host = f"[{where[0]}]" if of.family == socket.AF_INET6 else where[0]
    return f"{host}:{where[1]}"
