"""Running Caddy's own adapter on its configuration file, in the sandbox.

``caddy adapt`` only translates: it needs neither network nor a file that it could write.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from badgateway.blocking import Blocking
from badgateway.topology.proxies import sandbox

REFUSED: Final = "refused"
"""The word by which its refusal is told from a failure to ask it."""


_MEANT: Final = ("LD_", "GLIBC_", "GODEBUG")
"""How variables begin that change what the dynamic loader or Go's runtime does."""


class AdapterError(Exception):
    """The adapter was not run, or did not answer; the text says why."""


async def adapt_caddyfile(
    binary: str,
    config: str,
    disk: Blocking | None = None,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """Return the JSON form of a Caddyfile.

    Args:
        binary: the program.
        config: the file.
        disk: for looking at the program.
        environment: variables that it names; what it says with them is not repeated.

    Raises:
        AdapterError: the binary is not trusted, fails, or takes too long.
        HungError: the disk with the program does not answer.
    """
    looking = disk or Blocking("looking at a proxy's program")
    problem = await looking.call(_problem, binary)
    if problem:
        raise AdapterError(f"not run: {problem}")
    command = f"`{os.path.basename(binary)} adapt`"
    words = (binary, "adapt", "--config", config, "--adapter", "caddyfile")
    try:
        ran = await sandbox.run(words, strict=False, environment=environment)
    except sandbox.SandboxError as error:
        raise AdapterError(f"{command}: {error}") from None
    if ran.status:
        said = ran.errors.decode("utf-8", "replace").strip().splitlines()
        errors = [n for n, line in enumerate(said) if line.startswith("Error:")]
        text = " ".join(said[errors[-1] if errors else -1 :])  # hints follow in lines of their own
        if environment:
            line = re.search(re.escape(os.path.basename(config)) + r":(\d{1,9})\b", text)
            text = "with values of its unit's environment, which are not repeated here"
            text = f"{config}:{line[1]}, {text}" if line else text
        raise AdapterError(f"{command} {REFUSED} {config}: {text}"[:300])
    try:
        return msgspec.json.decode(ran.output, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise AdapterError(f"{command} answered with something else: {error}") from None


def may_be_given(name: str) -> bool:
    """Tell whether a variable of this name is nothing but a text to a program."""
    return name not in sandbox.ENVIRONMENT and not name.startswith(_MEANT)


def _problem(binary: str) -> str:
    """Why a program must not be run as Caddy; may block."""
    if not os.path.basename(os.path.realpath(binary)).startswith("caddy"):
        return f"{binary} is not known as a build of Caddy"
    return sandbox.trusted(binary)
