"""What a manager needs before it starts a program: directory, files, user and group."""

from __future__ import annotations

import glob
import grp
import os
import pwd
import re
from collections.abc import Iterator
from typing import Final

from badgateway.packages import files
from badgateway.packages.findings import Finding, Target

_LOCAL: Final = frozenset(("files", "compat", "systemd", "altfiles"))
_OFTEN_HIDDEN: Final = ("/home", "/root", "/tmp", "/var/tmp")  # noqa: S108
"""Directories that a service may be shown empty, or others of."""


def check(target: Target) -> Iterator[Finding]:
    """Yield what is certainly missing of what the start needs."""
    if target.needed_directory and missing(target.needed_directory):
        yield directory_missing(target.needed_directory, "The working directory")
    for path in target.needed_files:
        if glob.has_magic(path) or not missing(path):
            continue
        yield Finding(
            "environment_file_missing",
            "fatal",
            path,
            f"The environment file {path} does not exist, and the start needs it.",
            f"restore {path}, or write EnvironmentFile=-{path} where it may be missing",
        )
    inside = bool(target.root)
    if target.user and not user_exists(target.user, inside):
        yield user_missing("user", target.user)
    if target.group and not group_exists(target.group, inside):
        yield user_missing("group", target.group)
    for path in (target.script, target.interpreter):
        # with a project, this is looked at along with its packages
        if path.startswith("/") and not target.project and missing(path):
            yield Finding(
                "program_missing",
                "fatal",
                path,
                f"{path}, which the start would run, does not exist.",
                f"install what provides {path}, or correct the command",
            )
            return


def directory_missing(path: str, what: str) -> Finding:
    """Return the finding about a directory that does not exist."""
    return Finding(
        "directory_missing",
        "fatal",
        path,
        f"{what} {path} does not exist.",
        f"create {path}, or correct the setting",
    )


def user_missing(what: str, name: str) -> Finding:
    """Return the finding about a ``user`` or ``group`` that does not exist."""
    tool = "useradd" if what == "user" else "groupadd"
    return Finding(
        "user_missing",
        "fatal",
        name,
        f"The {what} {name}, which it would run as, does not exist.",
        f"{tool} --system {name}",
    )


def missing(path: str) -> bool:
    """Tell whether nothing is there for sure: it could be seen if something were."""
    if files.exists(path) is not False or files.below(path, "/run"):
        return False  # what is in /run may be made when it starts
    for hidden in _OFTEN_HIDDEN:
        if files.below(path, hidden):
            inside = path.removeprefix(hidden).strip("/").split("/")
            return len(inside) > 1 and files.is_directory(os.path.join(hidden, inside[0]))
    return True


def user_exists(name: str, inside: bool) -> bool:
    """Tell whether a user exists, or may: a number always does.

    ``inside`` asks the files of a container instead of this host's databases.
    """
    if name.isdigit():
        return True
    if inside:
        return _is_listed(name, "/etc/passwd")
    try:
        pwd.getpwnam(name)
    except KeyError:
        return not _asks_files_alone("passwd")
    except OSError:
        return True
    return True


def group_exists(name: str, inside: bool) -> bool:
    """Tell the same of a group."""
    if name.isdigit():
        return True
    if inside:
        return _is_listed(name, "/etc/group")
    try:
        grp.getgrnam(name)
    except KeyError:
        return not _asks_files_alone("group")
    except OSError:
        return True
    return True


def _asks_files_alone(database: str) -> bool:
    """Whether no directory service, which may be out of reach here, knows further names."""
    try:
        text = files.read_text("/etc/nsswitch.conf")
    except (OSError, ValueError):
        return False
    for line in text.splitlines():
        name, colon, services = line.partition("#")[0].partition(":")
        if colon and name.strip() == database:
            return set(re.sub(r"\[[^]]*\]", " ", services).split()) <= _LOCAL
    return False


def _is_listed(name: str, path: str) -> bool:
    try:
        text = files.read_text(path)
    except (OSError, ValueError):
        return True
    return any(line.partition(":")[0] == name for line in text.splitlines())
