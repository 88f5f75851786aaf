"""The rows that give the verdict: is it failing, since when, why, what to do."""

from __future__ import annotations

from typing import Any, Final

from alerts import causes, wording
from alerts import thresholds as at
from badgateway import vocabulary
from dashboards import queries as pq
from dashboards import style
from dashboards.style import GREEN, GREY, ORANGE, PURPLE, RED, Query, State

_NOT_NONE: Final = 'cause!="none"'
_CAUSE_COLORS: Final = (RED, "dark-red", "light-red", ORANGE, "dark-orange", "yellow", PURPLE)
_USERS: Final = (
    State(0, "served", GREEN),
    State(1, "some requests fail", ORANGE),
    State(2, "failing", RED),
    State(3, "blind: exporter down", PURPLE),
)


def now() -> list[Any]:
    """Whether it fails, since when, why, what it is about, what to do."""
    ratio_steps = ((None, GREY), (0, GREEN), (0.000001, ORANGE), (at.ERROR_RATIO, RED))
    first_steps = {
        "mappings": [
            {
                "type": "value",
                "options": {
                    cause: {"text": step, "index": index}
                    for index, (cause, step) in enumerate(causes.FIRST_STEP.items())
                },
            }
        ]
    }
    link = {
        "links": [
            {
                "title": "Runbook",
                "url": f"{wording.RUNBOOKS}/gatewayprobefailing",
                "targetBlank": True,
            }
        ]
    }
    return [
        style.tile(
            "Users",
            "By probes where users are and by the answers of the last minute, whichever is "
            f"worse. Red from {at.FAILED_PROBES} failed probes in a row or "
            f"{at.ERROR_RATIO:.0%} of the answers on: the page's own conditions.",
            Query(pq.users(), "{{backend}}"),
            span=6,
            states=_USERS,
            steps=((None, GREY), (0, GREEN), (1, ORANGE), (2, RED), (3, PURPLE)),
            empty="nothing is probed",
        ),
        style.tile(
            "Failing since",
            "When a probe that fails now last succeeded (at most a day back).",
            Query(pq.failing_since(), "{{backend}}"),
            span=4,
            unit="dateTimeFromNow",
            steps=((None, RED),),
            empty="no failing probe",
        ),
        style.tile(
            "Cause",
            "What the diagnosis concludes. Undetermined: it fails, and nothing seen says why.",
            Query(
                f"max by (backend, cause) ({pq.metric('diagnosis', _NOT_NONE)}) == 1",
                "{{cause}}",
            ),
            span=5,
            steps=((None, RED),),
            show_name=True,
            empty="none",
        ),
        style.tile(
            "It is about",
            "The subject of the cause: a package, a unit, an address, a setting.",
            Query(f"max by (backend, subject) ({pq.metric('diagnosis_info')}) == 1", "{{subject}}"),
            span=5,
            steps=((None, RED),),
            show_name=True,
            empty="-",
        ),
        style.tile(
            "Gateway errors, last minute",
            "Share of 502, 503 and 504 among the answers of the last minute.",
            Query(pq.error_ratio("backend", at.ERROR_WINDOW), "{{backend}}"),
            span=4,
            unit="percentunit",
            steps=ratio_steps,
            empty="no answers",
        ),
        style.grid(
            "What to do first",
            "One row per failing backend. The cause opens the runbook.",
            Query(pq.causes_with_subjects()),
            {
                "backend": "Backend",
                "cause": "Cause",
                "subject": "About",
                "step": "First step",
                "Value": "How sure",
                "instance": "Seen by",
                "job": "Job",
            },
            height=4,
            overrides=(
                ("First step", {**first_steps, "custom.width": 760}),
                ("How sure", {"unit": "percentunit", "custom.width": 90}),
                ("Cause", link),
            ),
            empty="nothing is wrong",
        ),
    ]


def why() -> list[Any]:
    """How the verdict came to be."""
    return [
        style.timeline(
            "Diagnosis over time",
            "The cause concluded at each moment. A gap: the exporter was not there.",
            Query(pq.active("diagnosis", "cause", style.codes(vocabulary.CAUSES)), "{{backend}}"),
            _cause_states(),
        ),
    ]


def _cause_states() -> list[State]:
    failing = [cause for cause in vocabulary.CAUSES if cause not in ("none", "undetermined")]
    colors = {
        cause: _CAUSE_COLORS[index % len(_CAUSE_COLORS)] for index, cause in enumerate(failing)
    }
    colors |= {"none": GREEN, "deploying": "blue", "undetermined": GREY}
    return [
        State(code, cause, colors[cause]) for cause, code in style.codes(vocabulary.CAUSES).items()
    ]
