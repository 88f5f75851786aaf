"""Would a proxy accept its files: its own test, asked in the sandbox.

``nginx -t`` opens what its configuration names and would make what is missing: in the sandbox it
can do neither, so on most hosts it says that the syntax is right and then fails at its pid file.
That is no verdict. Only what it says of the files themselves is one.
"""

from __future__ import annotations

import os
import re
from typing import Final

from badgateway.blocking import Blocking
from badgateway.redaction import redacted
from badgateway.sources import proctree
from badgateway.topology.caddy import adapter
from badgateway.topology.nginx import processes as nginx_processes
from badgateway.topology.proxies import sandbox
from badgateway.topology.proxies.place import ProxyFound, ProxyPlace
from badgateway.topology.proxies.state import Tested

_PROGRAMS: Final = ("nginx", "nginx-debug", "openresty", "angie", "freenginx", "tengine")
_DEFAULT_CONFIG: Final = "/etc/nginx/nginx.conf"
_TIMED: Final = r"(?:\d{4}/\d\d/\d\d \d\d:\d\d:\d\d )?"
_EMERGENCY: Final = re.compile(rf"^(?:nginx: )?{_TIMED}\[emerg\] (?:\d+#\d+: )?(?P<said>.*)$")
_PLACE: Final = re.compile(r" in (?P<file>/\S.*):(?P<line>\d+)$")
_CADDY_PLACE: Final = re.compile(r"(?P<file>/[^\s:,]+):(?P<line>\d+)\b")
_ELSEWHERE: Final = re.compile(
    # what depends on who asks and when, not on the files: rights, names, memory, descriptors
    r"[Pp]ermission denied|not permitted|[Rr]ead-only|host not found|could not be resolved"
    r"|Cannot allocate|Too many open|No space|File too large|Input/output|Text file busy"
    r"|Resource temporarily|in use"
)
_MESSAGE_LIMIT: Final = 300
SYNTAX_IS_RIGHT: Final = "the syntax is right"
"""How the message begins where every directive was taken and something else failed."""


async def nginx(place: ProxyPlace, disk: Blocking) -> Tested:
    """Return what ``nginx -t`` says of the files of a proxy. Never raises.

    Args:
        place: where the proxy is found.
        disk: for looking at its program.
    """
    try:
        words, problem = await disk.call(command, place)
        if problem:
            return Tested(None, f"not judged: {problem}")
        ran = await sandbox.run(words, strict=True)
    except (OSError, sandbox.SandboxError) as error:
        return Tested(None, f"not judged: {error}"[:_MESSAGE_LIMIT])
    return judged(ran.status, ran.errors.decode("utf-8", "replace"))


def caddy(found: ProxyFound, is_caddyfile: bool) -> Tested | None:
    """Return what ``caddy adapt`` said of a file, from what reading the file came to."""
    problem = found.problems.get("caddy-config", "")
    if found.on_disk is not None:
        told = "a JSON file, which no adapter has judged"
        return Tested(True) if is_caddyfile else Tested(None, f"not judged: {told}")
    if not problem:
        return None
    if f" adapt` {adapter.REFUSED} " not in problem or _ELSEWHERE.search(problem):
        return Tested(None, problem)
    places = list(_CADDY_PLACE.finditer(problem))
    place = places[-1] if places else None
    return Tested(False, problem, f"{place['file']}:{place['line']}" if place else "")


def judged(status: int, said: str) -> Tested:
    """Return what the words of ``nginx -t`` mean (nginx 1.18 to 1.29).

    Args:
        status: its exit status.
        said: what it wrote to standard error.
    """
    lines = said.splitlines()
    if status == 0 and any(line.endswith("test is successful") for line in lines):
        return Tested(True)
    emergencies = [found["said"] for line in lines if (found := _EMERGENCY.match(line))]
    if not emergencies:
        how = f"by signal {-status}" if status < 0 else f"with {status}"
        return Tested(None, f"not judged: nginx -t ended {how} without a reason")
    words = redacted(emergencies[0])[:_MESSAGE_LIMIT]
    if any(line.endswith("syntax is ok") for line in lines):
        return Tested(None, f"{SYNTAX_IS_RIGHT}, the rest is not judged: {words}")
    if _ELSEWHERE.search(words):
        return Tested(None, f"not judged: {words}")
    place = _PLACE.search(emergencies[0])
    message = words.removesuffix(place[0]) if place else words
    return Tested(False, message, f"{place['file']}:{place['line']}" if place else "")


def command(place: ProxyPlace) -> tuple[tuple[str, ...], str]:
    """Return the words that test a proxy's files, or why nothing is to be run; may block."""
    binary, problem = _program(place)
    if problem:
        return (), problem
    name = os.path.basename(os.path.realpath(binary))
    if name not in _PROGRAMS:
        return (), f"{binary} is not known as a build of nginx"
    config = place.config or _DEFAULT_CONFIG
    place_of_it = config if os.path.lexists(config) else os.path.dirname(config)
    if problem := sandbox.trusted(binary) or sandbox.writable(place_of_it):
        return (), problem
    words = [binary, "-t", "-c", config]
    if place.prefix:
        words += ["-p", place.prefix]
    if not place.pid:
        return tuple(words), ""
    master = nginx_processes.master(place.pid)
    if proctree.owner(master) == 0:
        directives = nginx_processes.given(master)
        words += ["-g", directives] if directives else []
    elif not place.unit:
        # with a prefix and directives of its own anybody may have nginx load what they like
        return (), f"process {master} is not root's"
    return tuple(words), ""


def _program(place: ProxyPlace) -> tuple[str, str]:
    """The program that a proxy runs, as a path of this process' own files, or why it is unknown."""
    if place.container or place.root:
        return "", "it runs in a container"
    if not place.pid:
        return place.binary, "" if place.binary else "its program is not known"
    master = nginx_processes.master(place.pid)
    link = f"/proc/{master}/exe"
    try:
        path, runs = os.readlink(link), os.stat(link)
    except PermissionError:
        # whose program cannot be seen is known if root's own unit file names it
        named = place.binary if place.unit else ""
        return named, "" if named else f"the program of process {master} cannot be seen"
    except OSError as error:
        return "", f"process {master}: {error.strerror}"
    try:
        here = os.stat(path)
    except OSError:
        return "", f"{path} is not the program that runs: it was replaced"
    if (here.st_dev, here.st_ino) != (runs.st_dev, runs.st_ino):
        return "", f"{path} is not the program that runs: it was replaced, or is another's"
    if not _sees_the_same(master, place.config or _DEFAULT_CONFIG):
        return "", "it runs in a mount namespace of its own"
    return path, ""


def _sees_the_same(pid: int, config: str) -> bool:
    """Whether a process and this one see the same files.

    A unit's own namespace (``ProtectSystem=``) has the same root and the same files; a container's
    has not.
    """
    process = f"/proc/{pid}"
    try:
        if os.stat(f"{process}/ns/mnt").st_ino == os.stat("/proc/self/ns/mnt").st_ino:
            return True
        return all(
            os.path.samestat(os.stat(f"{process}/root{path}"), os.stat(path))
            for path in ("/", config)
        )
    except OSError:
        return False
