"""What to look at next, for each reason: short, for the person who was woken by it."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

FAILURES: Final = MappingProxyType(
    {
        "dns_failure": "does the name resolve now (getent hosts NAME)? is the container that has "
        "it running? does the proxy have a resolver?",
        "no_live_upstream": "look at the failures just before: every member was marked down by "
        "them, or by its health check",
        "saturated": "requests in flight against the configured limit; a slow application fills "
        "any queue",
        "proxy_resources": "on the proxy's host: open files against their limit, ports in "
        "TIME_WAIT (ss -s), worker_connections",
        "connect_refused": "does anything listen there (ss -ltnp)? has the service stopped, or "
        "does it restart over and over (systemctl status, docker ps)? is it the right address?",
        "connect_timeout": "is the host up and the port let through? on this host: is the accept "
        "queue full (ss -ltn, Recv-Q)?",
        "connect_unreachable": "ip route get ADDRESS: is there a route, is the network or bridge "
        "of the container still there?",
        "socket_missing": "is the service running? does its configuration name the same socket "
        "path? PrivateTmp and chroot hide sockets",
        "socket_denied": "owner and mode of the socket and of each folder above it, against the "
        "proxy's user; SELinux or AppArmor",
        "backlog_full": "all workers are busy: their number, and what they wait for",
        "connect_failed": "does anything listen at the address, answer in time, and speak TLS "
        "if it should? this log says no more",
        "tls_handshake": "does the application speak TLS on that port? which versions, and does "
        "it ask for a client certificate?",
        "tls_certificate": "the upstream's certificate: its dates, its names, and who signed it",
        "send_failed": "did the application refuse the upload early, or stop reading?",
        "reset": "did a worker die at that time (timeout, memory: journalctl -k)? if only POSTs "
        "fail at once: the application's keep-alive is shorter than the proxy's",
        "premature_close": "did a worker die or restart at that time? if only POSTs fail at once: "
        "the application's keep-alive is shorter than the proxy's",
        "upstream_closed": "did a worker die or restart at that time? is the application's "
        "keep-alive shorter than the proxy's?",
        "response_timeout": "what the application waits for (database, lock, other service); are "
        "all its workers busy (ss -ltn, Recv-Q > 0)?",
        "invalid_response": "is it the right port and protocol (HTTP, FastCGI, gRPC, TLS)?",
        "header_too_big": "the response headers of that URL: cookies, CSP; or the proxy's buffer "
        "for them",
        "body_truncated": "did a worker die in the middle of the answer? is Content-Length right?",
        "body_timeout": "a stream or download paused longer than the proxy's read timeout",
        "proxy_io": "rights and free space of the proxy's temporary and cache folders",
        "app_5xx": "the application answered so itself: its own log",
        "proxy_local": "which rule in the proxy's configuration: a limit, maintenance, access",
        "unknown": "the logs do not say; see below which setting would",
    }
)  # fmt: skip
"""``upstream_failure`` reason → what to look at."""

OTHERS: Final = MappingProxyType(
    {
        "boot_failure": "the application does not load: `badgateway check` names the package, or "
        "start it by hand",
        "bind_failure": "who has the port (ss -ltnp)? may the service use the address?",
        "exec_failed": "does the command of the unit exist and may its user execute it? working "
        "directory, user, environment file (systemctl cat UNIT)",
        "usage": "the command line or configuration file it was started with",
        "timeout": "requests that take longer than the server's own timeout; raise it above the "
        "slowest, and keep the proxy's above that",
        "oom": "memory of the unit or container against its limit (journalctl -k)",
        "sigkill": "killed from outside: journalctl -k for the kernel, docker events, or a stop "
        "that took too long",
        "segfault": "a native module: coredumpctl, and what was installed last",
        "signal": "who sends it: journalctl -k, supervisors, monitoring",
        "exit_code": "its last words before it ended",
        "worker_lost": "the worker's last words before",
        "upgrade_failed": "the new server's last words; the old one serves on",
        "external_term": "who asked it to end: a deploy, a supervisor, somebody's kill",
        "stop_timeout": "requests that take longer than the server's grace period",
        "orphaned": "what ended the main process: journalctl -k, systemctl status",
        "client_abort": "no failure of the upstream; many of them mean that answers are slow",
        "unknown": "the log does not say; journalctl -k around that time",
    }
)  # fmt: skip
"""What to look at when a server or worker ended, or clients left."""


def hint(kind: str, reason: str) -> str:
    """Return what to look at next, or an empty string where nothing is wrong."""
    if kind == "upstream_failure":
        return FAILURES.get(reason, "")
    if kind in ("boot_failure", "client_abort"):
        return OTHERS[kind]
    return OTHERS.get(reason, "")
