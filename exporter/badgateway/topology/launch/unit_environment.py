"""Single variables of a systemd unit's environment (systemd.exec(5)), for who needs just those."""

from __future__ import annotations

import glob
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from badgateway.packages import files
from badgateway.topology.launch.environment import read_environment_file

_FILE_BYTES: Final = 256 << 10
_FILES_LIMIT: Final = 64


@dataclass(frozen=True, slots=True)
class UnitEnvironment:
    """Where a unit's variables come from. Its values are secrets and are shown nowhere.

    Attributes:
        assigned: ``KEY=value`` each (``Environment=``).
        paths: files of more of them, and whether each may be missing (``EnvironmentFile=``).
        removed: names, or ``KEY=value``, that it is started without (``UnsetEnvironment=``).
    """

    assigned: tuple[str, ...] = field(default=(), repr=False)
    paths: tuple[tuple[str, bool], ...] = ()
    removed: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, properties: Mapping[str, Any]) -> UnitEnvironment:
        """Return what a unit's properties (org.freedesktop.systemd1(5)) say of its environment."""
        return cls(
            tuple(map(str, properties.get("Environment") or ())),
            tuple((str(f[0]), bool(f[1])) for f in properties.get("EnvironmentFiles") or ()),
            tuple(map(str, properties.get("UnsetEnvironment") or ())),
        )

    def values(self, names: Collection[str]) -> dict[str, str]:
        """Return the values of these variables, of those that the unit sets; may block.

        Raises:
            OSError: a file of it cannot be read, which may set any of them.
            ValueError: a file is too large, or is none.
        """
        if not names:
            return {}
        found = dict(word.partition("=")[::2] for word in self.assigned)
        for pattern, _ in self.paths:
            paths = sorted(glob.glob(pattern)) if glob.has_magic(pattern) else [pattern]
            for path in paths[:_FILES_LIMIT]:
                try:
                    found |= read_environment_file(files.read_text(path, _FILE_BYTES))
                except FileNotFoundError:
                    continue
        kept = {name: value for name, value in found.items() if name in names}
        return {
            name: value
            for name, value in kept.items()
            if name not in self.removed and f"{name}={value}" not in self.removed
        }
