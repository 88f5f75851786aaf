"""Running a command in the place of this one: its signals, its exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Final

from badgateway.cli import common

NOT_FOUND: Final = 127
NOT_EXECUTABLE: Final = 126

_PASSED: Final = frozenset(
    (
        signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1,
        signal.SIGUSR2, signal.SIGCONT,
    )
)  # fmt: skip
_WAITED: Final = _PASSED | {signal.SIGCHLD}


def run(command: Sequence[str], finish: Callable[[int], None]) -> None:
    """Run a command with our own input and output; never returns.

    Signals sent to this process are handed on; those a terminal sends reach the command anyway,
    but for the hang-up that only the first process of a session gets.
    Ends with the command's exit code, or by the signal that ended it.

    Args:
        command: its words.
        finish: called with its exit code (negative: the signal's number) before we end.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored by our parent, its end is never told
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _WAITED)
    try:
        process = subprocess.Popen(  # noqa: S603 - running it is what was asked for
            command, preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_SETMASK, before)
        )
    except (OSError, ValueError) as error:
        finish(NOT_FOUND)
        code = NOT_EXECUTABLE if isinstance(error, PermissionError) else NOT_FOUND
        common.fail(f"{command[0]}: {getattr(error, 'strerror', None) or error}", code)
    leader = os.getsid(0) == os.getpid()
    while process.poll() is None:
        told = signal.sigwaitinfo(_WAITED)
        # a code above 0 is the kernel's: a terminal signals the whole group
        ours_alone = told.si_code <= 0 or (told.si_signo == signal.SIGHUP and leader)
        if told.si_signo in _PASSED and ours_alone:
            process.send_signal(told.si_signo)
    code = process.returncode
    finish(code)
    if code >= 0:
        sys.exit(code)
    signal.signal(-code, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {-code})
    os.kill(os.getpid(), -code)
    sys.exit(128 - code)  # a signal that does not end anybody
