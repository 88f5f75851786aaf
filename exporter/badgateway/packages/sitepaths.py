"""What ``site`` adds to the import path: site directories, ``.pth`` files, editable installs."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from badgateway.packages import files

PTH_LIMIT: Final = 256 << 10
_HARMLESS_HOOKS: Final = ("_distutils_hack", "_virtualenv", "coverage", "pytest_cov", "sys", "os")


@dataclass(frozen=True, slots=True)
class SitePaths:
    """What ``site`` adds to the import path.

    Attributes:
        paths: site directories and what their ``.pth`` files add, in order.
        mapping: module → file or directory, of editable installations.
        namespaces: namespace package → directories, likewise.
        hooks: ``.pth`` lines that run code whose effect is not known.
        files: ``.pth`` and finder files read.
        problems: what could not be read.
    """

    paths: tuple[str, ...]
    mapping: Mapping[str, str]
    namespaces: Mapping[str, tuple[str, ...]]
    hooks: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def site_paths(sites: Iterable[str]) -> SitePaths:
    """Read the ``.pth`` files of ``sites``; code in them is read for literals, never run."""
    paths: list[str] = []
    mapping: dict[str, str] = {}
    namespaces: dict[str, tuple[str, ...]] = {}
    hooks: list[str] = []
    read: list[str] = []
    problems: list[str] = []
    for site in sites:
        paths.append(site)
        try:
            names = [name for name in files.listdir(site) if name.endswith(".pth")]
        except OSError as error:
            if files.denied(error):
                problems.append(f"{site}: {files.reason(error)}")
            continue
        for name in names:
            file = os.path.join(site, name)
            try:
                text = files.read_text(file, PTH_LIMIT)
            except (OSError, ValueError) as error:
                if not isinstance(error, OSError) or files.denied(error):
                    problems.append(f"{file}: {files.reason(error)}")
                continue
            read.append(file)
            for line in text.splitlines():
                line = line.strip()
                if line.startswith(("import ", "import\t")):
                    finder = _finder(site, line)
                    found, spaces = _editable_mapping(finder) if finder else ({}, {})
                    if finder:
                        read.append(finder)
                    mapping |= found
                    namespaces |= spaces
                    if not found and not spaces and not _harmless(line):
                        hooks.append(f"{name}: {line[:60]}")
                elif line and not line.startswith("#"):
                    path = os.path.normpath(os.path.join(site, line))
                    if files.exists(path) is not False:
                        paths.append(path)
    return SitePaths(
        files.unique(paths), mapping, namespaces, tuple(hooks), files.unique(read), tuple(problems)
    )


def _harmless(line: str) -> bool:
    return any(line.split()[1].startswith(name) for name in _HARMLESS_HOOKS)


def _finder(site: str, line: str) -> str:
    """Return the file of the module that a ``.pth`` line imports, empty when not in ``site``."""
    module = line.split()[1].strip(";,").partition(";")[0]
    path = os.path.join(site, module + ".py")
    return path if module.isidentifier() and files.exists(path) else ""


def _editable_mapping(finder: str) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """Return module → path and namespace → directories from an editable installation's finder.

    setuptools writes literals (``MAPPING``, ``NAMESPACES``), the ``editables`` package calls
    ``F.map_module("module", "path")``.
    """
    mapping: dict[str, str] = {}
    namespaces: dict[str, tuple[str, ...]] = {}
    try:
        tree = ast.parse(files.read_bytes(finder))
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return mapping, namespaces
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            name = target.id if isinstance(target, ast.Name) else ""
            for key, value in _literal_items(node.value) if name else ():
                if name == "MAPPING" and isinstance(value, str):
                    mapping[key] = value
                elif name == "NAMESPACES" and isinstance(value, list):
                    namespaces[key] = tuple(v for v in value if isinstance(v, str))
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            call = node.value
            if isinstance(call.func, ast.Attribute) and call.func.attr == "map_module":
                values = [a.value for a in call.args if isinstance(a, ast.Constant)]
                if len(values) == 2 and all(isinstance(v, str) for v in values):
                    mapping[str(values[0])] = str(values[1])
    return mapping, namespaces


def _literal_items(node: ast.expr | None) -> list[tuple[str, object]]:
    if not isinstance(node, ast.Dict):
        return []
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, RecursionError):
        return []
    return [(k, v) for k, v in value.items() if isinstance(k, str)]
