"""A scan in a process of its own: what it reads may be built to exhaust a parser."""

from __future__ import annotations

import asyncio
import math
import os
import sys
from typing import Final

import msgspec

from badgateway.packages.assess import SECONDS
from badgateway.packages.findings import Report, Target

OUTPUT_LIMIT: Final = 64 << 20
END_SECONDS: Final = 2.0


class Request(msgspec.Struct, frozen=True):
    """What the child is asked; ``seconds`` is its processor and wall time."""

    target: Target
    seconds: float = SECONDS


async def scan(target: Target, timeout: float = 60.0) -> Report:
    """Assess ``target`` in a child: nice 19, bounded memory and time, no environment.

    Never raises for what happens in the child: a failure is a report whose verdict is
    ``unknown``. The child is killed when this returns or is cancelled; ``timeout`` is in seconds.
    """
    request = Request(target, max(1.0, min(SECONDS, timeout * 0.75)))
    try:
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-m",
            "badgateway.packages",
            str(math.ceil(timeout)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={"LC_ALL": "C.UTF-8", "PATH": os.defpath},
            limit=OUTPUT_LIMIT,
        )
    except OSError as error:
        return _failed(target, f"the scan could not be started: {error.strerror}")
    try:
        async with asyncio.timeout(timeout):
            output, _ = await child.communicate(msgspec.json.encode(request))
    except TimeoutError:
        return _failed(target, f"the scan took longer than {timeout:g} s")
    finally:
        if child.returncode is None:
            child.kill()
            # on a hung disk it ends when that comes back, and is reaped then
            await asyncio.wait((asyncio.ensure_future(child.wait()),), timeout=END_SECONDS)
    try:
        return msgspec.json.decode(output, type=Report)
    except (msgspec.MsgspecError, ValueError):
        return _failed(target, f"the scan failed (exit status {child.returncode})")


def _failed(target: Target, problem: str) -> Report:
    return Report("unknown", problem=problem, project=target.project, virtualenv=target.virtualenv)
