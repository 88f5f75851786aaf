"""systemd over D-Bus: which units there are, and every change of the watched ones.

Interface ``org.freedesktop.systemd1`` (systemd 247 and later, org.freedesktop.systemd1(5)). Signals
come only after ``Manager.Subscribe()``; an unprivileged user may subscribe and read everything used
here. Each change carries all properties that changed, so nothing is asked for afterwards.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from dbus_fast import BusType, Message, MessageType, Variant
from dbus_fast.aio import MessageBus
from dbus_fast.errors import DBusError

from badgateway.sources import Status, log

_DESTINATION: Final = "org.freedesktop.systemd1"
_MANAGER_PATH: Final = "/org/freedesktop/systemd1"
_MANAGER: Final = "org.freedesktop.systemd1.Manager"
_UNIT: Final = "org.freedesktop.systemd1.Unit"
_SERVICE: Final = "org.freedesktop.systemd1.Service"
_PROPERTIES: Final = "org.freedesktop.DBus.Properties"
_CALL_SECONDS: Final = 5.0
_HUNG: Final = "systemd does not answer on the system bus"
_TRIES: Final = 20
RETRY_SECONDS: Final = 2.0

Properties = dict[str, Any]


@dataclass(frozen=True, slots=True)
class UnitChange:
    """New values of some properties of a unit, signature wrappers removed."""

    unit: str
    properties: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class UnitJob:
    """A job of a unit began, or was over.

    Attributes:
        unit: its name.
        result: empty when it began; else systemd's word (``done``, ``failed``, ``dependency``,
            ``assert``, ``canceled``, ``timeout``, ``skipped``).
    """

    unit: str
    result: str = ""


class SystemdBus:
    """A connection to systemd that comes back by itself.

    Args:
        changed: called in the loop for every change of a watched unit.
        connected: awaited after each (re)connection, to look at everything anew.
        reloaded: called when systemd has read its unit files again.
        job: called for every job of any unit.
    """

    NAME = "systemd"

    def __init__(
        self,
        changed: Callable[[UnitChange], None],
        connected: Callable[[], Awaitable[None]],
        reloaded: Callable[[], None],
        job: Callable[[UnitJob], None],
    ) -> None:
        self.status = Status()
        self._job = job
        self._changed, self._connected, self._reloaded = changed, connected, reloaded
        self._bus: MessageBus | None = None
        self._paths: dict[str, str] = {}
        self._others: dict[str, str] = {}
        self._changes: dict[str, int] = {}

    async def run(self) -> None:
        """Stay connected until cancelled."""
        while True:
            try:
                await self._stay()
            except asyncio.CancelledError:
                raise
            except (OSError, DBusError, EOFError, TimeoutError, ValueError) as error:
                if self.status.lost(_explain(error)):
                    log.warning("systemd: %s", self.status.problem)
            finally:
                self._disconnect()
            await asyncio.sleep(RETRY_SECONDS)

    async def units(self, pattern: str = "*.service") -> list[str]:
        """Return the names of the loaded units that match.

        Raises:
            DBusError: systemd refused.
            OSError: not connected.
        """
        reply = await self._call(
            _MANAGER_PATH, _MANAGER, "ListUnitsByPatterns", "asas", [[], [pattern]]
        )
        return [str(row[0]) for row in reply[0]]

    async def properties(self, unit: str) -> Properties:
        """Return a service's properties, and have its changes told from now on.

        Raises:
            DBusError: systemd refused.
            OSError: not connected.
        """
        (path,) = await self._call(_MANAGER_PATH, _MANAGER, "LoadUnit", "s", [unit])
        self._paths[unit_path(unit)] = unit
        found: Properties = {}
        for _ in range(_TRIES):
            changes = self._changes.get(unit, 0)
            # no interface: those of all, at one moment (sd-bus; the specification leaves it open)
            (values,) = await self._call(path, _PROPERTIES, "GetAll", "s", [""])
            found = _plain(values)
            if self._changes.get(unit, 0) == changes:
                break  # no change was told after it was answered and before it is returned
        return found

    def unwatch(self, unit: str) -> None:
        """Have them told no longer."""
        self._paths.pop(unit_path(unit), None)
        self._changes.pop(unit, None)

    def also(self, units: Iterable[str]) -> None:
        """Have changes of exactly these units told too, which are not watched themselves."""
        self._others = {unit_path(unit): unit for unit in units}

    async def _stay(self) -> None:
        bus = self._bus = MessageBus(bus_type=BusType.SYSTEM)
        async with asyncio.timeout(_CALL_SECONDS):
            await bus.connect()
        bus.add_message_handler(self._received)
        for rule in (
            f"type='signal',sender='{_DESTINATION}',interface='{_PROPERTIES}',"
            f"member='PropertiesChanged',path_namespace='{_MANAGER_PATH}/unit'",
            *(
                f"type='signal',sender='{_DESTINATION}',interface='{_MANAGER}',member='{member}'"
                for member in ("Reloading", "JobNew", "JobRemoved")
            ),
        ):
            await self._call(
                "/org/freedesktop/DBus", "org.freedesktop.DBus", "AddMatch", "s", [rule],
                destination="org.freedesktop.DBus",
            )  # fmt: skip
        await self._call(_MANAGER_PATH, _MANAGER, "Subscribe", "", [])
        await self._connected()
        self.status.ok()
        await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]
        raise OSError(self.status.problem or "the connection was closed")

    async def _call(
        self,
        path: str,
        interface: str,
        member: str,
        signature: str,
        body: list[Any],
        destination: str = _DESTINATION,
    ) -> list[Any]:
        bus = self._bus
        if bus is None or not bus.connected:
            raise OSError("not connected to the system bus")
        message = Message(
            destination=destination, path=path, interface=interface, member=member,
            signature=signature, body=body,
        )  # fmt: skip
        try:
            async with asyncio.timeout(_CALL_SECONDS):
                reply = await bus.call(message)
        except TimeoutError:
            if self._bus is bus and self.status.lost(_HUNG):
                log.warning("systemd: %s", _HUNG)
            bus.disconnect()  # what it would still tell is no longer of now: begin anew
            raise
        if reply is None:
            raise OSError("no reply")
        if reply.message_type is MessageType.ERROR:
            raise DBusError(str(reply.error_name), str(reply.body[0] if reply.body else ""))
        return list(reply.body)

    def _received(self, message: Message) -> None:
        if message.message_type is not MessageType.SIGNAL:
            return
        if message.member == "PropertiesChanged":
            path = str(message.path)
            unit = self._paths.get(path) or self._others.get(path)
            if unit is not None and message.body[0] in (_UNIT, _SERVICE):
                self._changes[unit] = self._changes.get(unit, 0) + 1
                self._changed(UnitChange(unit, _plain(message.body[1])))
        elif message.member == "JobNew" and len(message.body) > 2:
            self._job(UnitJob(str(message.body[2])))
        elif message.member == "JobRemoved" and len(message.body) > 3:
            self._job(UnitJob(str(message.body[2]), str(message.body[3])))
        elif message.member == "Reloading" and message.body and not message.body[0]:
            self._reloaded()

    def _disconnect(self) -> None:
        bus, self._bus = self._bus, None
        if bus is not None:
            bus.disconnect()


def unit_path(unit: str) -> str:
    """Return a unit's D-Bus path (sd_bus_path_encode(3)); a leading digit is escaped too."""
    escaped = "".join(
        c if c.isascii() and (c.isalpha() or (c.isdigit() and i)) else f"_{ord(c):02x}"
        for i, c in enumerate(unit)
    )
    return f"{_MANAGER_PATH}/unit/{escaped}"


def _plain(values: Mapping[str, Variant]) -> Properties:
    return {name: variant.value for name, variant in values.items()}


def _explain(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "no system bus: systemd does not run here, or its socket is not mounted"
    if isinstance(error, TimeoutError):
        return _HUNG
    if isinstance(error, PermissionError):
        return "no permission to use the system bus"
    return str(error) or type(error).__name__
