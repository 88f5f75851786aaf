"""Which lines are about the same request, and what they tell together.

An error line, an access line and another access line of one request share ``marks``; the failure
keeps the error line's reason and place and gets the access line's status. Attempts that only an
access line tells of become failures of their own. An error line about no attempt may say who made
an answer. A 5xx that no line explains stays ``unknown``.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice
from typing import Final

from badgateway.events import AnswerOrigin, ClientAbort, Response, UpstreamFailure
from badgateway.explanation.deaths import ended
from badgateway.explanation.same import (
    NEIGHBOURS,
    SLACK,
    Answer,
    Entry,
    Item,
    Told5xx,
    answer_to,
    apart,
    before,
    contradict,
    fits,
    kind,
    kinds,
)
from badgateway.vocabulary import CLIENT_CLOSED_REQUEST

_AFTER_HEADER: Final = frozenset(("body_truncated", "body_timeout"))
"""Failures after the client already had a status: it is no sign that all went well."""
_MANY: Final = 128


def groups(items: Sequence[Item]) -> Iterable[list[Item]]:
    """Group what shares marks, directly or over others."""
    parents: dict[str, str] = {}

    def root(mark: str) -> str:
        while parents.setdefault(mark, mark) != mark:
            parents[mark] = mark = parents[parents[mark]]
        return mark

    for item in items:
        first, *others = sorted(item.marks) or [f"alone {item.order}"]
        for other in others:
            parents[root(other)] = root(first)
    groups: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        mark = min(item.marks, default=f"alone {item.order}")
        groups[root(mark)].append(item)
    return groups.values()


def joined(group: list[Item], answered: list[Item]) -> list[tuple[int, Entry]]:
    """Return what the lines about the same requests tell together."""
    group.sort(key=lambda item: (item.told.event.at, item.order))
    answers = _answers([i for i in (*group, *answered) if isinstance(i.told.event, Response)])
    failures = [item for item in group if isinstance(item.told.event, UpstreamFailure)]
    _assign(failures, answers)
    aborts = _aborts([i for i in group if isinstance(i.told.event, ClientAbort)])
    for abort in aborts:
        for answer in answers[:_MANY]:
            if not answer.failures and fits(abort, answer):
                answer.aborted = True
                break
    origins = [item for item in group if isinstance(item.told.event, AnswerOrigin)]
    _attribute(origins, answers)
    entries = [(item.order, _failure(item)) for item in failures]
    entries += [(item.order, Entry(item.told, item.told.event)) for item in aborts]
    entries += [(item.order, _refusal(item)) for item in origins if _refuses(item)]
    for answer in answers:
        entries += _of_answer(answer)
    others = (
        item
        for item in group
        if not isinstance(item.told.event, Response | UpstreamFailure | ClientAbort | AnswerOrigin)
    )
    return entries + ended(others)


def _assign(failures: list[Item], answers: list[Answer]) -> None:
    """Find for each failure what the client got; both are in the order of time.

    Of very many answers, those that others took or that lie behind are not looked at again.
    """
    many = len(answers) > _MANY
    waiting = deque(answers)
    for failure in failures:
        while many and waiting and before(failure, waiting[0]):
            waiting.popleft()
        answer = answer_to(failure, list(islice(waiting, NEIGHBOURS if many else None)))
        if answer is None:
            continue
        answer.failures.append(failure)
        failure.answer = answer
        if many and len(answer.failures) > len(answer.response.attempts):
            waiting.remove(answer)


def _attribute(origins: list[Item], answers: list[Answer]) -> None:
    """Find for each line that says who made an answer the answer it is about."""
    waiting = deque(
        answer
        for answer in answers
        if answer.response.status >= 400
        and not (answer.failures or answer.response.attempts or answer.aborted)
    )
    many = len(waiting) > _MANY
    for item in origins:
        while many and waiting and before(item, waiting[0]):
            waiting.popleft()
        maker, refuses = ("proxy", True) if _refuses(item) else ("application", False)
        fitting = [
            answer
            for answer in islice(waiting, NEIGHBOURS if many else None)
            if answer.response.origin in (None, maker)
            and (refuses or answer.response.status >= 500)
            and fits(item, answer)
        ]
        if fitting:
            answer = min(fitting, key=lambda answer: abs(apart(item.told, answer.told)))
            answer.made, item.answer = item, answer
            waiting.remove(answer)


def _refuses(item: Item) -> bool:
    event = item.told.event
    return isinstance(event, AnswerOrigin) and event.origin == "proxy"


def _refusal(item: Item) -> Entry:
    """Return what the proxy refused, at the line that says so."""
    event = item.told.event
    assert isinstance(event, AnswerOrigin)
    answer = item.answer
    status = answer.response.status if answer is not None else None
    probe = answer.response.probe if answer is not None else None
    happened = Told5xx(
        event.at, "proxy_local", status, event.site, None, True, probe, event.detail
    )  # fmt: skip
    return Entry(item.told, happened, status, False, _request(item.marks))


def _answers(items: list[Item]) -> list[Answer]:
    """Return the answered requests; lines of several access logs about one are one."""
    answers: list[Answer] = []
    for item in sorted(items, key=lambda item: (item.told.event.at, item.order)):
        response = item.told.event
        assert isinstance(response, Response)
        teller = (item.told.file, response.tells)
        same = next(
            (
                answer
                for answer in answers[-NEIGHBOURS:]
                if answer.response.status == response.status
                and item.marks & answer.marks
                and teller not in answer.tellers
                and item.told.text != answer.told.text
                and not contradict(item.marks, answer.marks)
                and abs(apart(item.told, answer.told)) <= 2 * SLACK
            ),
            None,
        )
        if same is None:
            answers.append(Answer(item.order, item.told, response, item.marks, {teller}))
            continue
        same.tellers.add(teller)
        same.marks |= item.marks
        if response.tells and not same.response.tells:
            same.order, same.told, same.response = item.order, item.told, response
    return answers


def _aborts(items: list[Item]) -> list[Item]:
    """Return one line for each client that went away."""
    kept: list[Item] = []
    for item in items:
        for other in kept:
            shared = item.marks & other.marks
            unique = any(kind(mark) != "line" for mark in shared)
            elsewhere = item.told.file != other.told.file or kinds(item) != kinds(other)
            near = abs(apart(item.told, other.told)) <= 2 * SLACK
            if (
                shared
                and not contradict(item.marks, other.marks)
                and near
                and (unique or elsewhere)
            ):
                other.marks |= item.marks
                break
        else:
            kept.append(item)
    return kept


def _failure(item: Item) -> Entry:
    event = item.told.event
    assert isinstance(event, UpstreamFailure)
    status = item.answer.response.status if item.answer is not None else event.status
    return Entry(
        item.told, event, status, _masked(event.reason, status), _request(item.marks)
    )  # fmt: skip


def _of_answer(answer: Answer) -> list[tuple[int, Entry]]:
    """Return what an answer tells beyond the error lines about it."""
    response, request = answer.response, _request(answer.marks)
    told = [item.told.event for item in answer.failures]
    untold = _untold(response.attempts, [e for e in told if isinstance(e, UpstreamFailure)])
    entries = []
    for attempt in untold:
        masked = _masked(attempt.reason, response.status)
        line = replace(answer.told, event=attempt)
        entries.append((answer.order, Entry(line, attempt, response.status, masked, request)))
    made = answer.made.told.event if answer.made is not None else None
    origin = made.origin if isinstance(made, AnswerOrigin) else response.origin
    if response.status < 500 or (origin == "proxy" and made is not None):
        return entries
    failed = bool(answer.failures or response.attempts)
    if origin == "application":
        reason = "app_5xx"
    elif failed or answer.aborted:
        return entries  # what the proxy answered because of that
    elif origin == "proxy":
        reason = "proxy_local"
    else:
        reason = "unknown"
    happened = Told5xx(
        response.at, reason, response.status, response.site, response.upstream, response.tells,
        response.probe, made.detail if isinstance(made, AnswerOrigin) else "",
    )  # fmt: skip
    entries.append((answer.order, Entry(answer.told, happened, response.status, False, request)))
    return entries


def _untold(
    attempts: Sequence[UpstreamFailure], told: list[UpstreamFailure]
) -> list[UpstreamFailure]:
    """Return the attempts that no error line tells of."""
    left, untold = list(told), []
    for attempt in attempts:
        match = next((e for e in left if e.upstream == attempt.upstream), None)
        if match is None:
            match = next((e for e in left if None in (e.upstream, attempt.upstream)), None)
        if match is None:
            untold.append(attempt)
        else:
            left.remove(match)
    # an error line may name a group where the access line names a member
    return untold[len(left) :]


def _masked(reason: str, status: int | None) -> bool:
    return (
        status is not None
        and 200 <= status < 500
        and status != CLIENT_CLOSED_REQUEST
        and reason not in _AFTER_HEADER
    )


def _request(marks: Iterable[str]) -> str:
    """Return method and path of a request, without who asked and without the query."""
    for mark in marks:
        if mark.startswith("line:"):
            words = mark.removeprefix("line:").split(" ")
            return " ".join(words[1:3]).partition("?")[0]
    return ""
