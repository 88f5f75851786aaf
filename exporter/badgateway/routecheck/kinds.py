"""What a file or folder is that somebody wants checked: a proxy's configuration, of which kind."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from badgateway import regularfile

NGINX: Final = "nginx"
CADDYFILE: Final = "caddyfile"
CADDY_JSON: Final = "caddy-json"
PROXIES: Final = {NGINX: "nginx", CADDYFILE: "caddy", CADDY_JSON: "caddy"}
"""Kind of a file → the proxy that reads it."""

_PIECES: Final = 2000
LIMIT: Final = 16 * 1024 * 1024
_MAIN: Final = ("nginx.conf", "conf/nginx.conf", "Caddyfile")
_PROJECT: Final = ("pyproject.toml", "requirements.txt", "setup.cfg", "setup.py", "Pipfile")
_SUFFIXES: Final = ("", ".template", ".tmpl", ".tpl", ".j2", ".erb", ".in", ".example")
_OTHERS: Final = (".yml", ".yaml", ".toml", ".md", ".py", ".sh", ".cfg", ".ini", ".service")
_NGINX: Final = re.compile(
    # bounded: a line may be as long as the file
    r"^[^#\n]{0,500}?\b(?:(?:http|events|server|stream|upstream\s{1,99}\S{1,200}"
    r"|location\s[^{;\n]{1,200})\s{0,99}\{"
    r"|(?:proxy|fastcgi|uwsgi|scgi|grpc)_pass\s{1,99}[^;\n]{1,200};"
    r"|(?:include|listen|server_name)\s[^;\n]{1,200};)",
    re.M,
)
_STATEMENT: Final = re.compile(r"^[ \t]*[a-z][a-z0-9_]+[ \t]+[^;{}=\n]+;[ \t]*(?:#.*)?$", re.M)
_CADDY: Final = re.compile(
    r"^[^#\n]{0,500}?\b(?:reverse_proxy|php_fastcgi|file_server|handle(?:_path)?|encode|respond)\b"
    r"[^;\n]{0,500}$",
    re.M,
)


def is_named_so(path: Path) -> bool:
    """Tell whether a path is named like a proxy's configuration, be there such a file or not."""
    return bool(_by_name(path)) or path.suffix.lower() in (".conf", ".json")


def _by_name(path: Path) -> str:
    name = path.name.lower()
    for suffix in _SUFFIXES:
        bare = name.removesuffix(suffix) if suffix else name
        if bare == "caddyfile" or bare.startswith("caddyfile.") or bare.endswith(".caddyfile"):
            return CADDYFILE
        if bare == "nginx.conf" or bare.endswith((".nginx", ".nginx.conf")):
            return NGINX
    return ""


def kind_of(path: Path) -> str:
    """Return which kind of configuration a file is; empty when it is none that is known.

    Its name decides where it says so, else what it holds. May block.

    Raises:
        OSError: it cannot be read.
    """
    if path.is_dir():
        return NGINX if pieces(path) else ""
    if kind := _by_name(path):
        return kind
    name = path.name.lower()
    if name.endswith(".json"):
        return CADDY_JSON
    if name.endswith(_OTHERS):
        return ""
    data, _ = regularfile.read(path, LIMIT)
    text = data.decode("utf-8", "replace")
    if text.lstrip().startswith("{") and '"apps"' in text:
        return CADDY_JSON
    if _NGINX.search(text) or (name.endswith(".conf") and _STATEMENT.search(text)):
        return NGINX
    return CADDYFILE if _CADDY.search(text) else ""


def main_file(folder: Path) -> Path | None:
    """Return the proxy configuration that a folder is about; None for a project, or without one.

    A folder of pieces of nginx' configuration, such as ``conf.d``, is itself one. May block.
    """
    if any((folder / name).is_file() for name in _PROJECT):
        return None
    main = next((folder / name for name in _MAIN if (folder / name).is_file()), None)
    return main or (folder if pieces(folder) else None)


def pieces(folder: Path) -> list[Path]:
    """Return the pieces of nginx' configuration in a folder, by name; may block."""
    found = []
    for path in sorted(folder.iterdir())[:_PIECES]:
        try:
            if path.is_file() and not path.name.startswith(".") and kind_of(path) == NGINX:
                found.append(path)
        except OSError:
            continue
    return found
