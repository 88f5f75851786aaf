"""Running a proxy's own adapter on its configuration file: the one program of a target that is run.

``caddy adapt`` only translates. It is run only when its binary and every directory above it belong
to root and nobody else can write there, in this process' mount namespace, without capabilities,
without new privileges, with an empty environment, and for at most ``SECONDS``. It writes nothing.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import pwd
import resource
import stat
import subprocess
from pathlib import Path
from typing import Any, Final

import msgspec

from badgateway.blocking import Blocking

SECONDS: Final = 5.0
_OUTPUT_LIMIT: Final = 16 * 1024 * 1024
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_CLEAR_ALL: Final = 4
_PR_CAPBSET_DROP: Final = 24
_LAST_CAPABILITY: Final = 63


class AdapterError(Exception):
    """The adapter was not run, or did not answer; the text says why."""


def trusted(binary: str) -> str:
    """Return why a binary must not be run, or an empty string."""
    path = Path(binary)
    try:
        resolved = path.resolve(strict=True)
    except OSError as error:
        return f"{binary}: {error.strerror}"
    for part in (resolved, *resolved.parents):
        status = part.stat()
        if status.st_uid != 0 or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            sticky = part != resolved and status.st_mode & stat.S_ISVTX and status.st_uid == 0
            if not sticky:
                return f"{part} can be written by others than root"
    if not os.access(resolved, os.X_OK):
        return f"{binary} is not executable"
    return ""


async def adapt_caddyfile(binary: str, config: str, disk: Blocking | None = None) -> dict[str, Any]:
    """Return the JSON form of a Caddyfile.

    Args:
        binary: the program.
        config: the file.
        disk: for looking at the program.

    Raises:
        AdapterError: the binary is not trusted, fails, or takes too long.
        HungError: the disk with the program does not answer.
    """
    problem = await (disk or Blocking("looking at a proxy's program")).call(trusted, binary)
    if problem:
        raise AdapterError(f"not run: {problem}")
    try:
        process = await _started(binary, config)
    except subprocess.SubprocessError as error:
        raise AdapterError(f"not run: its rights cannot be dropped: {error}") from None
    try:
        async with asyncio.timeout(SECONDS):
            output, errors = await process.communicate()
    except TimeoutError:
        raise AdapterError(f"`{binary} adapt` did not end within {SECONDS:.0f} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await asyncio.wait((asyncio.ensure_future(process.wait()),), timeout=1.0)
    if process.returncode:
        words = errors.decode("utf-8", "replace").strip().splitlines()
        raise AdapterError(f"`{binary} adapt` refused {config}: {words[-1] if words else ''}"[:300])
    if len(output) > _OUTPUT_LIMIT:
        raise AdapterError(f"`{binary} adapt` answered with more than 16 MiB")
    try:
        return msgspec.json.decode(output, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise AdapterError(f"`{binary} adapt` answered with something else: {error}") from None


async def _started(binary: str, config: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        binary, "adapt", "--config", config, "--adapter", "caddyfile",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "XDG_DATA_HOME": "/nonexistent"},
        cwd="/",
        start_new_session=True,
        preexec_fn=_drop_privileges,
    )  # fmt: skip


def _drop_privileges() -> None:
    """Runs in the child before exec: lose root, every capability and the way back."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    for capability in range(_LAST_CAPABILITY + 1):
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.setgroups([])
        os.setgid(nobody.pw_gid)
        os.setuid(nobody.pw_uid)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (int(SECONDS), int(SECONDS)))
