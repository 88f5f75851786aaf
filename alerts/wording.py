"""What a page says: annotation templates that Prometheus fills in while an alert fires.

The cause is asked for by the ``query`` function of the templates and is no label: labels are an
alert's identity, and a changed diagnosis would be a second page.
"""

from __future__ import annotations

from typing import Final

from alerts import expressions as px
from alerts.causes import FIRST_STEP
from badgateway import vocabulary

RUNBOOKS: Final = "https://badgateway.example/runbooks"
DASHBOARDS: Final = "https://badgateway.example/grafana"
DASHBOARD_UID: Final = "badgateway-incident"

Annotations = dict[str, str]

_OWN: Final = "{backend=%[1]q,instance=%[2]q}"
_ARGUMENTS: Final = "$labels.backend $labels.instance"


def ask(expression: str, found: str, otherwise: str = "") -> str:
    """Return a template that runs ``expression`` and says ``found`` of its result.

    ``expression`` may hold ``%[1]q`` for the backend and ``%[2]q`` for the instance, quoted.
    In ``found`` the dot is the result: one or more samples. ``otherwise`` stands for none.
    """
    other = f"{{{{ else }}}}{otherwise}" if otherwise else ""
    return f"{{{{ with printf `{expression}` {_ARGUMENTS} | query }}}}{found}{other}{{{{ end }}}}"


def known_cause(found: str, otherwise: str = "") -> str:
    """Return a template over the cause: this exporter's verdict, else that of another.

    The proxy's host often sees only that nothing answers, while the application's host, watching
    the same backend, knows why.
    """
    any_exporter = f"{px.DIAGNOSIS}{{backend=%[1]q}}"
    query = f"topk(1, {px.DIAGNOSIS}{_OWN}) or on () topk(1, {any_exporter})"
    return ask(query, found, otherwise)


CAUSE: Final = known_cause('{{ . | first | label "cause" }}', "undetermined")
SUBJECT: Final = known_cause('{{ . | first | label "subject" }}')


def since(alert: str) -> str:
    """Return a template of the failure's start: the first failed probe seen, else the alert's."""
    started = f'ALERTS_FOR_STATE{{alertname="{alert}",backend=%[1]q,instance=%[2]q}}'
    return ask(
        f"{px.FAILING_SINCE}{_OWN} or on () topk(1, {started})",
        '{{ (. | first | value | toTime).UTC.Format "2006-01-02 15:04:05 UTC" }}',
    )


def _switch(choices: dict[str, str]) -> str:
    """Return a template that says the choice of the cause in ``$cause``."""
    branches = [f'if eq $cause "{cause}" }}}}{text}' for cause, text in choices.items()]
    return "{{ " + "{{ else ".join(branches) + "{{ end }}"


def _cause_sentence() -> str:
    meanings = {
        cause: meaning
        for cause, meaning in vocabulary.CAUSES.items()
        if cause not in ("none", "undetermined")
    }
    seen_by = (
        '{{ if ne (. | first | label "instance") $labels.instance }}, '
        'seen from {{ . | first | label "instance" }}{{ end }}'
    )
    found = (
        '{{ $cause := . | first | label "cause" }}{{ $subject := . | first | label "subject" }}'
        "Cause: {{ $cause }}{{ if $subject }} {{ $subject }}{{ end }} "
        f"({{{{ . | first | value | humanizePercentage }}}}{seen_by}): {_switch(meanings)}."
    )
    return known_cause(found, "Cause: not determined yet.")


def _first_step() -> str:
    found = '{{ $cause := . | first | label "cause" }}' + _switch(
        {cause: step for cause, step in FIRST_STEP.items() if cause != "undetermined"}
    )
    return known_cause(found, FIRST_STEP["undetermined"])


CAUSE_SENTENCE: Final = _cause_sentence()
ACTION: Final = _first_step()

_BACKEND: Final = "{{ $labels.backend }}"


def packages(before: str = "", after: str = "") -> str:
    """Return a template that lists up to three packages in grave drift, between two texts."""
    kinds = px.alternatives(px.GRAVE_DRIFT)
    drift = f'badgateway_dependency_drift_info{{backend=%[1]q,instance=%[2]q,kind=~"{kinds}"}}'
    listed = (
        '{{ range $i, $one := sortByLabel "package" . }}'
        '{{ if $i }}, {{ end }}{{ $one | label "package" }}{{ end }}'
    )
    return ask(f"topk(3, max by (package) ({drift}))", f"{before}{listed}{after}")


_OF_RELOAD: Final = (
    "badgateway_risk_info{backend=%[1]q,instance=%[2]q,"
    'risk=~"next_reload_fails|next_reload_misroutes"}'
)
RELOAD_RISK: Final = ask(
    _OF_RELOAD,
    ' It is about {{ . | first | label "subject" }} ({{ . | first | label "risk" }}).',
)
ABOUT_RELOAD: Final[Annotations] = {"subject": ask(_OF_RELOAD, '{{ . | first | label "subject" }}')}
ABOUT_CAUSE: Final[Annotations] = {"cause": CAUSE, "subject": SUBJECT}
ABOUT_PACKAGES: Final[Annotations] = {"subject": packages()}


def page(alert: str, summary: str, symptom: str) -> Annotations:
    """Return the annotations of a page about a backend that fails now."""
    return {
        "summary": f"{_BACKEND}: {summary}",
        "description": f"{_BACKEND}: {symptom} {CAUSE_SENTENCE}",
        **ABOUT_CAUSE,
        "since": since(alert),
        "action": ACTION,
        **links(alert, backend=True),
    }


def warning(
    alert: str, summary: str, description: str, action: str, *, about: Annotations
) -> Annotations:
    """Return the annotations of a warning about a backend that still works."""
    return {
        "summary": f"{_BACKEND} {summary}",
        "description": description,
        **about,
        "action": action,
        **links(alert, backend=True),
    }


def meta(alert: str, summary: str, description: str, action: str) -> Annotations:
    """Return the annotations of an alert about the monitoring itself."""
    return {
        "summary": summary,
        "description": description,
        "action": action,
        **links(alert, backend=False),
    }


def links(alert: str, *, backend: bool) -> Annotations:
    """Return the runbook's and the dashboard's address."""
    query = "?var-backend={{ $labels.backend | urlquery }}" if backend else ""
    if backend:
        query += "&var-instance={{ $labels.instance | urlquery }}"
    return {
        "runbook_url": f"{RUNBOOKS}/{alert.lower()}",
        "dashboard_url": f"{DASHBOARDS}/d/{DASHBOARD_UID}{query}",
    }
