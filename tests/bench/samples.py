"""Logs to measure with: as nginx and Caddy write them, the same for every run.

The lines have the form of those recorded (tests/corpus); addresses, paths, sizes and times vary as
in traffic, one answer in a hundred is an error.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

SITES: Final = ("api.example.test", "www.example.test", "admin.example.test")
UPSTREAMS: Final = ("127.0.0.1:8001", "127.0.0.1:8002", "127.0.0.1:8003")
_STATUSES: Final = (200,) * 90 + (304,) * 4 + (302, 301, 404, 404, 403) + (502,)
_AGENTS: Final = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148",
    "curl/8.5.0",
)

LOG_FORMAT: Final = (
    '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent '
    '"$http_referer" "$http_user_agent" "$host" "$upstream_addr" $upstream_response_time'
)

_ERRORS: Final = (
    "connect() failed (111: Connection refused) while connecting to upstream",
    "recv() failed (104: Connection reset by peer) while reading response header from upstream",
    "upstream prematurely closed connection while reading response header from upstream",
    "upstream timed out (110: Connection timed out) while reading response header from upstream",
    "no live upstreams while connecting to upstream",
)


def nginx_access(number: int) -> Iterator[str]:
    """Yield ``number`` lines of an nginx access log in ``LOG_FORMAT``."""
    chance = random.Random(1)
    for line in range(number):
        at = f"21/Nov/2026:{line // 3600 % 24:02}:{line // 60 % 60:02}:{line % 60:02} +0000"
        which = chance.randrange(3)
        yield (
            f"{_client(chance)} - - [{at}] "
            f'"GET /v1/items/{chance.randrange(10000)}?page={line % 10} HTTP/1.1" '
            f"{chance.choice(_STATUSES)} {chance.randrange(100000)} "
            f'"https://www.example.test/list" "{chance.choice(_AGENTS)}" "{SITES[which]}" '
            f'"{UPSTREAMS[which]}" {chance.expovariate(20):.3f}\n'
        )


def nginx_errors(number: int) -> Iterator[str]:
    """Yield ``number`` lines of an nginx error log, of five reasons."""
    chance = random.Random(2)
    for line in range(number):
        at = f"2026/11/21 {line // 3600 % 24:02}:{line // 60 % 60:02}:{line % 60:02}"
        which, uri = chance.randrange(3), f"/v1/items/{chance.randrange(10000)}"
        yield (
            f"{at} [error] 9001#9001: *{line} {_ERRORS[line % 5]}, client: {_client(chance)}, "
            f'server: {SITES[which]}, request: "GET {uri} HTTP/1.1", '
            f'upstream: "http://{UPSTREAMS[which]}{uri}", host: "{SITES[which]}"\n'
        )


def caddy_access(number: int) -> Iterator[str]:
    """Yield ``number`` lines of Caddy's access log, as 2.11 writes them for HTTP/2."""
    chance = random.Random(3)
    for line in range(number):
        status = chance.choice(_STATUSES)
        site = chance.choice(SITES)
        entry: dict[str, Any] = {
            "level": "info" if status < 500 else "error",
            "ts": 1795250324.5 + line / 1000,
            "logger": "http.log.access.log0",
            "msg": "handled request",
            "request": {
                "remote_ip": _client(chance),
                "remote_port": str(chance.randrange(1024, 65536)),
                "client_ip": _client(chance),
                "proto": "HTTP/2.0",
                "method": "GET",
                "host": site,
                "uri": f"/v1/items/{chance.randrange(10000)}?page={line % 10}",
                "headers": {
                    "User-Agent": [chance.choice(_AGENTS)],
                    "Accept": ["application/json, text/plain, */*"],
                    "Accept-Encoding": ["gzip, deflate, br"],
                },
                "tls": {
                    "resumed": False, "version": 772, "cipher_suite": 4865, "proto": "h2",
                    "server_name": site,
                },
            },
            "bytes_read": 0,
            "user_id": "",
            "duration": chance.expovariate(20),
            "size": chance.randrange(100000),
            "status": status,
            "resp_headers": {"Server": ["uvicorn"], "Content-Type": ["application/json"]},
        }  # fmt: skip
        yield json.dumps(entry, separators=(",", ":")) + "\n"


def write(path: Path, lines: Callable[[int], Iterator[str]], number: int) -> Path:
    """Write ``number`` lines into a file and return it."""
    with path.open("w", encoding="ascii") as file:
        file.writelines(lines(number))
    return path


def _client(chance: random.Random) -> str:
    return f"10.{chance.randrange(4)}.{chance.randrange(256)}.{chance.randrange(256)}"
