"""What these logs cannot tell, and which log or setting would."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from badgateway.explanation.advice import program
from badgateway.explanation.summary import Summary


def blind_spots(summary: Summary, read: AbstractSet[str]) -> list[str]:
    """Return sentences for the operator.

    Args:
        summary: of the story.
        read: names of the dialects that any line was read as.
    """
    found: list[str] = []
    for (dialect, tells), count in sorted(summary.unexplained.items()):
        answers = "1 answer" if count == 1 else f"{count} answers"
        if tells:
            found.append(
                f"{answers} of 5xx in {dialect} without a reason: the error log of the same time "
                "would name it."
            )
        elif _has_error_log(dialect, read):
            found.append(
                f"{answers} of 5xx in {dialect} without an error line: the application answered so "
                "itself, or the proxy was told to. The access log does not say which."
            )
        else:
            found.append(
                f"{answers} of 5xx in {dialect} and no error log beside: give the proxy's error "
                "log too, as another FILE."
            )
    for dialect, count in sorted(summary.coarse.items()):
        are = f"1 failure in {dialect} is" if count == 1 else f"{count} failures in {dialect} are"
        found.append(f"{are} told only roughly with this log format.")
    return found


def advised(summary: Summary) -> list[str]:
    """Return the programs whose log settings would have told more."""
    dialects = {dialect for dialect, _ in summary.unexplained} | set(summary.coarse)
    return sorted({name for dialect in dialects if (name := program(dialect)) is not None})


def _has_error_log(dialect: str, read: AbstractSet[str]) -> bool:
    """Whether an error log of the same program was read, or its one log holds both."""
    family, _, kind = dialect.partition("-")
    return not kind or f"{family}-error" in read
