"""What the recordings of servers and workers cannot tell, and why."""

from __future__ import annotations

from typing import Final

_NO_KERNEL: Final = "only the kernel knows that memory was why"
_NO_CAUSE: Final = "it says that a worker died, not of what"
_NO_WORDS: Final = "it writes nothing, or too little, about a worker's end"
_NO_CODES: Final = "gunicorn 20.1 logs no exit codes"
_NO_WORKER: Final = "no worker ends: the server does, and that is told"
_AT_ONCE: Final = "who is killed at once says nothing"
_ABORTED: Final = "gunicorn handles SIGABRT and exits as `sys.exit(1)` does"
_QUIET_UVICORN: Final = "uvicorn before 0.31 recycles without a word, as if it was asked to end"
_HIDDEN: Final = "the log level hides the recycling"
_NOT_IN_LOG: Final = "the log ends before, or says nothing of it"
_SERVES_ON: Final = "nothing ends: uWSGI serves 500; the application's failure is told"
_BRUTAL: Final = "SIGTERM makes uWSGI start anew: a stop and a reload look alike"
_SEEYA: Final = "uWSGI says the same above the memory and above the number of requests"

NOT_TOLD: Final[dict[str, dict[str, str]]] = {
    "granian-respawn-2.8.7": {
        _AT_ONCE: "master_kill9",
        _NO_CAUSE: "exit3 exit7 kill9 kill9_all kill9_inflight partial",
        _NO_KERNEL: "oom",
    },
    "granian-2.8.7": {
        _AT_ONCE: "master_kill9",
        _NOT_IN_LOG: "ttin_ttou",
        _NO_CAUSE: "exit3 exit7 kill9 kill9_all segv",
        _NO_KERNEL: "oom",
    },
    "gunicorn-asgi-27.0.1": {
        _ABORTED: "sigabrt_worker",
        _AT_ONCE: "master_kill9",
        _HIDDEN: "loglevel_warning",
        _NO_KERNEL: "oom",
        _NO_WORKER: "import_error_preload",
    },
    "gunicorn-gthread-20.1.0": {
        _ABORTED: "sigabrt_worker",
        _AT_ONCE: "master_kill9",
        _HIDDEN: "loglevel_warning",
        _NOT_IN_LOG: "timeout_abrt_ignored",
        _NO_CODES: "exit7 partial sysexit",
        _NO_KERNEL: "oom",
        _NO_WORKER: "import_error_preload",
    },
    "gunicorn-gthread-27.0.1": {
        _ABORTED: "sigabrt_worker",
        _AT_ONCE: "master_kill9",
        _HIDDEN: "loglevel_warning",
        _NOT_IN_LOG: "stop_inflight timeout_abrt_ignored",
        _NO_KERNEL: "oom",
        _NO_WORKER: "import_error_preload",
    },
    "gunicorn-sync-20.1.0": {
        _ABORTED: "sigabrt_worker",
        _AT_ONCE: "master_kill9",
        _HIDDEN: "loglevel_warning",
        _NO_CODES: "exit7 partial sigterm_worker sysexit",
        _NO_KERNEL: "oom",
        _NO_WORKER: "import_error_preload",
    },
    "gunicorn-sync-21.2.0": {
        _ABORTED: "sigabrt_worker",
        _AT_ONCE: "master_kill9",
        _HIDDEN: "loglevel_warning",
        _NO_KERNEL: "oom",
        _NO_WORKER: "import_error_preload",
    },
    "gunicorn-sync-27.0.1": {
        _ABORTED: "sigabrt_worker",
        _HIDDEN: "loglevel_warning",
        _NO_KERNEL: "oom",
        _NO_WORKER: "import_error_preload",
    },
    "gunicorn-uvicorn-20.1.0": {
        _AT_ONCE: "master_kill9",
        _HIDDEN: "loglevel_warning",
        _NO_CODES: "exit7 partial",
        _NO_KERNEL: "oom",
        _NO_WORKER: "import_error_preload",
        _QUIET_UVICORN: "max_requests max_requests_one_worker sigterm_worker",
    },
    "gunicorn-uvicorn-21.2.0": {
        _AT_ONCE: "master_kill9",
        _HIDDEN: "loglevel_warning",
        _NOT_IN_LOG: "stop_int usr2",
        _NO_KERNEL: "oom",
        _QUIET_UVICORN: "max_requests max_requests_jitter max_requests_one_worker sigterm_worker",
    },
    "gunicorn-uvicorn-27.0.1": {
        _HIDDEN: "loglevel_warning",
        _NOT_IN_LOG: "stop_int",
        _NO_KERNEL: "oom",
        _NO_WORKER: "import_error_preload",
    },
    "hypercorn-single-0.18.0": {
        _NO_KERNEL: "oom",
        _NO_WORDS: (
            "boot_stop exit0 exit0_at_import exit3 hup kill9 kill9_inflight max_requests "
            "partial segv sigterm_worker stop_inflight stop_int"
        ),
    },
    "hypercorn-workers-0.18.0": {
        _NO_KERNEL: "oom",
        _NO_WORDS: (
            "boot_stop exit0 exit0_at_import exit3 kill9 kill9_all kill9_inflight "
            "master_kill9 max_requests_jitter partial segv stop_int"
        ),
    },
    "uvicorn-single-0.17.6": {
        _AT_ONCE: "exit0 exit0_at_import exit7 hup kill9 segv",
        _NO_WORKER: (
            "attr_missing import_error module_missing raise_at_import sigterm_worker "
            "stop_inflight stop_int syntax_error"
        ),
        _QUIET_UVICORN: "max_requests recycle_broken",
    },
    "uvicorn-single-0.54.0": {
        _AT_ONCE: "exit0 exit3 hup kill9 kill9_inflight partial",
        _NO_KERNEL: "oom",
        _NO_WORKER: (
            "attr_missing boot_stop import_error lifespan_fail module_missing "
            "raise_at_import sigterm_worker stop_inflight stop_int syntax_error"
        ),
        _QUIET_UVICORN: "recycle_broken",
    },
    "uvicorn-workers-0.17.6": {
        _NO_WORDS: (
            "exit0_at_import exit3 exit7 hup kill9 kill9_all kill9_inflight "
            "partial recycle_broken segv sigterm_worker ttin_ttou"
        ),
    },
    "uvicorn-workers-0.23.2": {
        _AT_ONCE: "master_kill9",
        _NO_KERNEL: "oom",
        _NO_WORDS: (
            "exit3 hup kill9 kill9_inflight max_requests recycle_broken segv sigterm_worker "
            "ttin_ttou"
        ),
    },
    "uvicorn-workers-0.54.0": {
        _AT_ONCE: "master_kill9",
        _NO_CAUSE: (
            "exit7 hang_healthcheck kill9 kill9_all kill9_inflight partial segv sigterm_worker"
        ),
        _NO_KERNEL: "oom",
    },
    "uwsgi-2.0.31": {
        _AT_ONCE: "master_kill9",
        _BRUTAL: "boot_stop stop_inflight",
        _NOT_IN_LOG: "cheaper ttin_ttou",
        _NO_CAUSE: "exit3 exit7 partial sigterm_worker",
        _NO_KERNEL: "oom",
        _NO_WORKER: "need_app",
        _SEEYA: "max_mem",
        _SERVES_ON: "attr_missing import_error raise_at_import recycle_broken",
    },
}
"""Server → why not → the recordings of which something is not told."""

EXACT: Final = {
    "granian-respawn-2.8.7": 14,
    "granian-2.8.7": 15,
    "gunicorn-asgi-27.0.1": 37,
    "gunicorn-gthread-20.1.0": 33,
    "gunicorn-gthread-27.0.1": 36,
    "gunicorn-sync-20.1.0": 33,
    "gunicorn-sync-21.2.0": 35,
    "gunicorn-sync-27.0.1": 31,
    "gunicorn-uvicorn-20.1.0": 34,
    "gunicorn-uvicorn-21.2.0": 31,
    "gunicorn-uvicorn-27.0.1": 37,
    "hypercorn-single-0.18.0": 11,
    "hypercorn-workers-0.18.0": 8,
    "uvicorn-single-0.17.6": 3,
    "uvicorn-single-0.54.0": 7,
    "uvicorn-workers-0.17.6": 14,
    "uvicorn-workers-0.23.2": 12,
    "uvicorn-workers-0.54.0": 17,
    "uwsgi-2.0.31": 15,
}
"""Server → how many of its recordings are told exactly."""
