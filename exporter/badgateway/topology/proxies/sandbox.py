"""Running a proxy's own program on its configuration, so that it can only read and answer.

Only a program that root alone can change is run, in this process' mount namespace: without root,
capabilities, new privileges and environment, for a bounded time and with bounded output. Where the
kernel has Landlock it can neither make nor change a file, nor serve or connect by TCP.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import pwd
import resource
import signal
import stat
import struct
import subprocess
from asyncio.subprocess import Process, SubprocessStreamProtocol
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from badgateway.topology.proxies import landlock

SECONDS: Final = 5.0
_OUTPUT_LIMIT: Final = 16 * 1024 * 1024
_WORDS_LIMIT: Final = 64 * 1024
_BUFFER_BYTES: Final = 64 * 1024
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_CLEAR_ALL: Final = 4
_PR_CAPBSET_DROP: Final = 24
_LAST_CAPABILITY: Final = 63
_INTERPRETER: Final = 3  # PT_INTERP
_HEADERS_LIMIT: Final = 64
_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH
ENVIRONMENT: Final = {
    "PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "XDG_DATA_HOME": "/nonexistent",
}  # fmt: skip
"""The variables that every program gets."""
_libc: Final = ctypes.CDLL(None, use_errno=True)


class SandboxError(Exception):
    """A program was not run, or did not end; the text says why."""


@dataclass(frozen=True, slots=True)
class Ran:
    """How a program ended, and what it wrote to standard output and standard error."""

    status: int
    output: bytes
    errors: bytes


def writable(path: str) -> str:
    """Return which part of a path others than root may change, or an empty string; may block."""
    try:
        resolved = Path(path).resolve(strict=True)
        for part in (resolved, *resolved.parents):
            status = part.stat()
            sticky = part != resolved and status.st_mode & stat.S_ISVTX
            if status.st_uid != 0 or (status.st_mode & _OTHERS and not sticky):
                return f"{part} can be written by others than root"
    except (OSError, RuntimeError, ValueError) as error:
        return f"{path}: {getattr(error, 'strerror', None) or error}"
    return ""


def trusted(binary: str) -> str:
    """Return why a binary must not be run, or an empty string; may block."""
    if problem := writable(binary):
        return problem
    return "" if os.access(binary, os.X_OK) else f"{binary} is not executable"


async def run(
    argv: Sequence[str], strict: bool, environment: Mapping[str, str] = MappingProxyType({})
) -> Ran:
    """Run a trusted program and wait for its end, for at most ``SECONDS``.

    Args:
        argv: the program's path and its words.
        strict: whether it must not be run where the kernel has no Landlock.
        environment: variables that it needs, beside its usual ones.

    Raises:
        SandboxError: it could not be run, did not end in time, or said too much.
    """
    rules, seconds = _rules(argv[0], strict), SECONDS
    try:
        process, transport = await _started(
            argv, _confinement(rules, seconds), {**environment, **ENVIRONMENT}
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise SandboxError(f"not run: {error}") from None
    finally:
        if rules is not None:
            os.close(rules)
    name = os.path.basename(argv[0])
    try:
        async with asyncio.timeout(seconds):
            output, errors = await asyncio.gather(
                _read(process.stdout, _OUTPUT_LIMIT, process.pid),
                _read(process.stderr, _WORDS_LIMIT, process.pid),
            )
            status = await process.wait()
    except TimeoutError:
        raise SandboxError(f"`{name}` did not end within {seconds:.0f} s") from None
    finally:
        if process.returncode is None:
            _kill(process.pid)
            await asyncio.wait((asyncio.ensure_future(process.wait()),), timeout=1.0)
        # who left its session may hold its pipes open
        transport.close()
        await asyncio.sleep(0)
    if len(output) > _OUTPUT_LIMIT or len(errors) > _WORDS_LIMIT:
        raise SandboxError(f"`{name}` wrote too much")
    return Ran(status, output, errors)


def _rules(program: str, strict: bool) -> int | None:
    """The rules to hold it to; None where the kernel has none and it may be run all the same."""
    if landlock.version() == 0:
        if strict:
            raise SandboxError("not run: this kernel has no Landlock, or it may not be used")
        return None
    try:
        return landlock.ruleset([program, *_interpreter(program)])
    except (OSError, ValueError) as error:
        raise SandboxError(f"not run: {error}") from None


def _interpreter(program: str) -> list[str]:
    """The loader that an ELF program names (elf(5), ``PT_INTERP``); none for a static one."""
    with open(program, "rb") as file:
        head = file.read(64)
        if head[:4] != b"\x7fELF" or len(head) < 64:
            raise ValueError(f"{program} is no program but a script, or something else")
        if head[4] != 2:
            raise ValueError(f"{program} is not of 64 bits")
        order = "<" if head[5] == 1 else ">"
        (table,) = struct.unpack_from(order + "Q", head, 0x20)
        size, count = struct.unpack_from(order + "HH", head, 0x36)
        file.seek(table)
        headers = file.read(size * min(count, _HEADERS_LIMIT))
        for offset in range(0, len(headers) - 55, max(size, 56)):
            kind, _, begin, _, _, length = struct.unpack_from(order + "IIQQQQ", headers, offset)
            if kind == _INTERPRETER:
                file.seek(begin)
                return [os.fsdecode(file.read(min(length, 4096)).rstrip(b"\0"))]
    return []


async def _started(
    argv: Sequence[str], confine: Callable[[], None], environment: Mapping[str, str]
) -> tuple[Process, asyncio.SubprocessTransport]:
    """As ``asyncio.create_subprocess_exec``, which keeps the transport to itself."""
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.subprocess_exec(
        lambda: SubprocessStreamProtocol(_BUFFER_BYTES, loop),
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
        cwd="/",
        start_new_session=True,
        preexec_fn=confine,
    )
    return Process(transport, protocol, loop), transport


def _confinement(rules: int | None, seconds: float) -> Callable[[], None]:
    """Return what runs in the child before exec: root, every capability and the way back are lost.

    What can be looked up is looked up here: the child of a process with threads does little.
    """
    nobody = pwd.getpwnam("nobody") if os.geteuid() == 0 else None

    def confine() -> None:
        _libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
        for capability in range(_LAST_CAPABILITY + 1):
            _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
        if nobody is not None:
            os.setgroups([])
            os.setgid(nobody.pw_gid)
            os.setuid(nobody.pw_uid)
        _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        if rules is not None:
            landlock.restrict(rules)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 1))

    return confine


async def _read(stream: asyncio.StreamReader | None, limit: int, session: int) -> bytes:
    """What a program wrote; one that writes more than ``limit`` bytes is ended."""
    assert stream is not None
    data = bytearray()
    while chunk := await stream.read(65536):
        if len(data) <= limit:
            data += chunk
            if len(data) > limit:
                _kill(session)
    return bytes(data)


def _kill(session: int) -> None:
    """End a program and whatever it started."""
    try:
        os.killpg(session, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
