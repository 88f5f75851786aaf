"""A line of one program is never taken for another's."""

from __future__ import annotations

import re

import pytest

from badgateway.dialects import dialect, names
from tests.dialects.reading import corpus

_SYSLOG = re.compile(r"^\w{3} +\d+ [\d:]+ \S+ (?=haproxy)")


def _lines() -> dict[str, list[str]]:
    sources = {
        "nginx-error": [("nginx", "error"), ("nginx", "error_info_level"),
                        ("special", "nginx_error")],
        "nginx-access": [("nginx", "access"), ("nginx", "access_json"), ("special", "nginx_access"),
                         ("special", "recommended_json")],
        "caddy": [("caddy", "log"), ("caddy", "access_json"), ("special", "log_errs_debug")],
        "haproxy": [("haproxy", "httplog"), ("haproxy", "json"), ("special", "haproxy")],
    }  # fmt: skip
    found: dict[str, list[str]] = {}
    for name, places in sources.items():
        lines = (
            line
            for place, source in places
            for case in corpus(place)
            for line in case["lines"].get(source, [])
        )
        found[name] = list(dict.fromkeys(_SYSLOG.sub("", line) for line in lines))
    found["gunicorn"] = [
        "[2026-11-21 08:41:39 +0000] [19507] [INFO] Starting gunicorn 27.0.1",
        "[2026-11-21 08:41:36 +0000] [19475] [CRITICAL] WORKER TIMEOUT (pid:19477)",
    ]
    found["hypercorn"] = [
        "[2026-11-21 08:18:59 +0000] [9] [INFO] Running on http://127.0.0.1:1 (CTRL + C to quit)",
        "[2026-11-21 08:18:59 +0000] [19379] [ERROR] Error in ASGI Framework",
        "hypercorn: error: unrecognized arguments: --keepalive",
    ]
    found["granian"] = [
        "[INFO] Starting granian (main PID: 22582)", "[INFO] Spawning worker-1 with PID: 22604",
        "[INFO] Started worker-1", "[ERROR] Unexpected exit from worker-2",
        "[INFO] Shutting down granian", "[ERROR] Worker crash loop detected, exiting",
        "Process granian-worker:",
    ]  # fmt: skip
    found["uwsgi"] = [
        "DAMN ! worker 1 (pid: 25788) died, killed by signal 9 :( trying respawn ...",
        "Sat Nov 21 08:24:51 2026 - *** HARAKIRI ON WORKER 1 (pid: 2, try: 1, graceful: yes) ***",
        "...The work of process 4879 is done. Seeya!", "!!! uWSGI process 26587 got Segmentation "
        "Fault !!!", "unable to load app 0 (mountpoint='') (callable not found or import error)",
        "[pid: 25|app: 0|req: 3/2] 127.0.0.1 () {22 vars in 222 bytes} [Sat Nov 21 08:24:52 2026]"
        " GET / => generated 10 bytes in 0 msecs (HTTP/1.0 200) 2 headers in 65 bytes",
    ]  # fmt: skip
    found["kernel"] = [
        "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/x,"
        "task_memcg=/x,task=gunicorn,pid=24840,uid=0",
        "Memory cgroup out of memory: Killed process 240 (gunicorn) total-vm:1528kB, anon-rss:1kB",
        "[12345.678901] Out of memory: Killed process 24840 (gunicorn) total-vm:15kB, anon-rss:1kB",
        "gunicorn[25354]: segfault at 0 ip 00007fa949d85ad8 sp 00007ffc error 4 in libc.so.6[7f+1]",
    ]
    found["uvicorn"] = [
        "INFO:     Started server process [12]",
        "ERROR:    Application startup failed. Exiting.",
        "Process SpawnProcess-1:",
    ]
    return found


LINES = _lines()
# Words of other programs that stand in the same journals and files.
FOREIGN = [
    "Traceback (most recent call last):", "Stack trace:", "", "{", "{}", "GET / HTTP/1.1",
    '{"time":"2026-11-21T08:49:10.886+0000","remote":"127.0.0.1","vhost":"a","method":"GET",'
    '"uri":"/","status":200,"first_status":"200","bytes":3}',
    "[Sat Nov 21 08:26:21.853721 2026] [proxy:error] [pid 1:tid 2] (111)refused: AH00957",
    '127.0.0.1 - - [21/Nov/2026:08:49:10 +0000] "GET / HTTP/1.1" 200 3 "-" "-" 1 "r@file" '
    '"http://127.0.0.1:1" 0ms',
    '[2026-11-21T08:49:10.886Z] "GET / HTTP/1.1" 503 UF 0 91 0 - "-" "x" "id" "a" "127.0.0.1:1"',
    "2026/11/21 08:35:14 http: proxy error: dial tcp 127.0.0.1:1: connect: connection refused",
    'time="2026-11-21T08:49:10Z" level=debug msg="502 Bad Gateway"',
    "Killed process 12", "worker 1", "Error: no", "goodbye", "[INFO] Started", "[ERROR] boom",
    "Connect your account", "Server error", "Process finished",
]  # fmt: skip


def test_every_dialect_has_a_signature_and_lines() -> None:
    assert set(names()) == set(LINES)


@pytest.mark.parametrize("name", LINES)
def test_a_dialects_own_lines_bear_its_signature(name: str) -> None:
    # gunicorn's and nginx' messages may go on in lines of their own
    unknown = [line for line in LINES[name] if not dialect(name).SIGNATURE.match(line)]
    assert [line for line in unknown if line.startswith(("2026/", "127.", "{", "["))] == []


@pytest.mark.parametrize("name", LINES)
def test_no_other_dialects_line_bears_it(name: str) -> None:
    signature = dialect(name).SIGNATURE
    others = [line for other, lines in LINES.items() if other != name for line in lines]
    assert [line for line in [*others, *FOREIGN] if signature.match(line)] == []
