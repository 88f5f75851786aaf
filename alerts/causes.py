"""What to do first about each cause: one sentence, read half asleep.

The sentence that says what a cause *means* is the vocabulary's own.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

FIRST_STEP: Final = MappingProxyType(
    {
        "service_stopped": (
            "Find out who stopped it and why (journalctl -u UNIT), then start it again."
        ),
        "crash_loop": (
            "Read why it ends (journalctl -u UNIT), then repair or roll back what changed last."
        ),
        "missing_dependency": (
            "Install what the project declares into the service's virtualenv "
            "(pip install -e .), then restart the service."
        ),
        "boot_failure": (
            "Read the last traceback (journalctl -u UNIT), repair or roll back what changed "
            "last, then restart the service."
        ),
        "bad_option": (
            "Correct the option that badgateway diagnose names, try it with badgateway check, "
            "then start the service again."
        ),
        "port_conflict": (
            "See who holds the address (ss -ltnp), stop it or give one of the two another address."
        ),
        "wrong_upstream": (
            "Correct the address in the proxy's configuration (badgateway diagnose names file and "
            "line), badgateway check it, reload the proxy, then badgateway verify."
        ),
        "name_unresolved": (
            "See what the name should lead to (getent hosts NAME); restore it, or correct the "
            "proxy's configuration and reload it."
        ),
        "host_unreachable": (
            "See whether that host is up and a route leads there (ip route get ADDRESS)."
        ),
        "socket_missing": (
            "See where the application listens (ss -lxp) and what the proxy's configuration says."
        ),
        "socket_permission": (
            "See who may open the socket and each folder above it (namei -l PATH); give the "
            "proxy's user the right."
        ),
        "proxy_down": (
            "See why the proxy does not run (systemctl status, its log); badgateway check says "
            "whether it would accept its configuration."
        ),
        "proxy_answers_itself": (
            "See what the proxy is told to answer for this site: a maintenance page, a limit, "
            "a refusal."
        ),
        "worker_timeout": (
            "Find the slow request (badgateway diagnose names its route), raise the server's "
            "worker timeout above what it takes, or take the work out of the request."
        ),
        "worker_oom": (
            "See what needs the memory (badgateway_memory_bytes); give it more, run fewer "
            "workers, or recycle them sooner."
        ),
        "worker_crash": (
            "See by what they die (badgateway_worker_recycles_total by reason) and what the "
            "server logged just before; repair or roll back what changed last."
        ),
        "upstream_slow": (
            "See what it waits for: workers all busy, an event loop blocked, a database; "
            "badgateway diagnose shows each hop."
        ),
        "container_unhealthy": (
            "Read what its health check says (docker inspect) and what the application logs; "
            "Docker does not restart it for that."
        ),
        "deploying": (
            "Wait for the deploy or restart to end, or ask whoever runs it; "
            "badgateway verify says whether it came up."
        ),
        "undetermined": (
            "Run badgateway diagnose on the host: it shows each hop and what is known of it."
        ),
    }
)
"""Cause → the first step. Every cause of the vocabulary but ``none`` is here."""
