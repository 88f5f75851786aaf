"""Where what nginx includes is found, for a configuration that lies somewhere else than it will."""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import Final

_FOLDERS: Final = (
    "/etc/nginx/", "/usr/local/nginx/conf/", "/usr/local/openresty/nginx/conf/",
    "/usr/local/etc/nginx/", "/opt/nginx/conf/",
)  # fmt: skip
"""Folders that builds of nginx keep their configuration in."""
_INNER: Final = (
    "sites-available", "sites-enabled", "conf.d", "http.d", "snippets", "vhosts", "vhosts.d",
    "default.d", "servers",
)  # fmt: skip
"""Folders below those of whose files only pieces are included."""
_SHIPPED: Final = frozenset(
    (
        "mime.types", "fastcgi.conf", "fastcgi_params", "uwsgi_params", "scgi_params",
        "proxy_params", "koi-utf", "koi-win", "win-utf", "fastcgi-php.conf",
        "options-ssl-nginx.conf",
    )
)  # fmt: skip
"""Files that packages bring along: none of them leads anywhere."""
_MAIN: Final = "nginx.conf"
_LEVELS: Final = 3
"""Folders above a file in which its main file is looked for."""


class Checkout:
    """Finds the files that a configuration includes.

    A checkout holds them below its own folder, although they are written as they will lie on the
    host: ``/etc/nginx/conf.d/*.conf`` is ``conf.d/*.conf`` beside ``nginx.conf``.

    Attributes:
        main: the file that nginx reads first, if one lies where it should; None for none.
        unmatched: patterns that no file fits.
    """

    def __init__(self, path: Path) -> None:
        """Begin with the configuration's first file."""
        folder = path.parent
        above = [Path(os.path.abspath(folder)), *Path(os.path.abspath(folder)).parents][:_LEVELS]
        level = next((n for n, each in enumerate(above) if (each / _MAIN).is_file()), None)
        self._own = folder
        if level is None:
            self._folder = folder.parent if folder.name in _INNER else folder
        else:
            self._folder = Path(os.path.normpath(folder / Path(*[".."] * level)))
        self.main = None if level is None else self._folder / _MAIN
        self.unmatched: list[str] = []

    def located(self, name: str) -> str:
        """Return where an included file or pattern is looked for; may block."""
        own = os.path.join(self._own, name)
        found = self._beside(name) or (own if glob.glob(own) else os.path.join(self._folder, name))
        if glob.has_magic(found) and not glob.glob(found):
            self.unmatched.append(name)
        return found

    def is_below(self, path: str) -> bool:
        """Tell whether a file lies, or would lie, in the folder of the configuration."""
        return os.path.abspath(path).startswith(os.path.abspath(self._folder) + os.sep)

    def _beside(self, name: str) -> str:
        """The same file in the folder of the configuration; empty where that has none."""
        for folder in _FOLDERS:
            if name.startswith(folder):
                beside = os.path.join(self._folder, name.removeprefix(folder))
                top = os.path.join(self._folder, name.removeprefix(folder).split("/")[0])
                if glob.glob(beside) or ("/" in name.removeprefix(folder) and os.path.isdir(top)):
                    return beside
        return ""


def is_shipped(path: str) -> bool:
    """Tell whether a file is one that nginx' packages bring along."""
    return os.path.basename(path) in _SHIPPED
