"""The rules: what pages, what becomes a ticket, and whether either could happen at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from alerts import expressions as px
from alerts import thresholds as at
from alerts import wording


@dataclass(frozen=True, slots=True)
class Record:
    """A recording rule."""

    record: str
    expr: str


@dataclass(frozen=True, slots=True)
class Alert:
    """An alerting rule.

    Attributes:
        hold: how long the condition must last before it fires (Prometheus' ``for``).
        keep: how long it goes on firing after the condition ended.
        labels: besides severity and category.
    """

    alert: str
    expr: str
    severity: str
    category: str
    annotations: wording.Annotations
    hold: str = ""
    keep: str = ""
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Group:
    """Rules evaluated together, in order, every ``interval``."""

    name: str
    interval: str
    rules: Sequence[Record | Alert]


def symptom() -> Group:
    """What pages: users get no answer, or nobody would notice if they got none."""
    probes, ratio, down = "GatewayProbeFailing", "GatewayErrorRatioHigh", "GatewayExporterDown"
    answer = wording.ask(
        f"{px.STATUS}{{backend=%[1]q,instance=%[2]q}} > 0",
        "requests fail with status {{ . | first | value }}",
        "requests get no answer",
    )
    status = wording.ask(
        f"{px.STATUS}{{backend=%[1]q,instance=%[2]q}} > 0",
        "last status {{ . | first | value }}",
        "no answer to the last",
    )
    return Group(
        "badgateway.symptom",
        "5s",
        (
            Record(px.FAILED_PROBES, px.failed_probes()),
            Record(px.STATUS, px.status()),
            Record(px.FAILING_SINCE, px.failing_since()),
            Record(px.ERROR_RATIO, px.error_ratio()),
            Record(px.DIAGNOSIS, px.diagnosis()),
            Record(px.DEPLOYING, px.deploying_until()),
            Record(px.PAGE_HELD, px.page_held()),
            Alert(
                probes,
                f"{px.FAILED_PROBES} >= {at.FAILED_PROBES}\n{px.not_held(probes)}",
                "critical",
                "symptom",
                wording.page(
                    probes,
                    answer,
                    f'{{{{ printf "%.0f" $value }}}} probes in a row failed ({status}).',
                ),
                keep=at.KEEP_FIRING,
            ),
            Alert(
                ratio,
                f"{px.ERROR_RATIO} > {at.ERROR_RATIO}\n{px.not_paged_by(probes)}\n"
                f"{px.ratio_not_held(ratio)}",
                "critical",
                "symptom",
                wording.page(
                    ratio,
                    "{{ $value | humanizePercentage }} of answers are 502, 503 or 504",
                    "{{ $value | humanizePercentage }} of the answers of the last minute are "
                    "502, 503 or 504.",
                ),
                hold="10s",
                keep=at.KEEP_FIRING,
            ),
            Alert(
                down,
                px.DOWN,
                "critical",
                "meta",
                wording.meta(
                    down,
                    "badgateway on {{ $labels.instance }} cannot be scraped",
                    "badgateway on {{ $labels.instance }} does not answer Prometheus. Whether "
                    "users get gateway errors there cannot be seen until it does; alerts that "
                    "were firing stay as they were.",
                    "See whether the host answers, then systemctl status badgateway on it.",
                ),
                hold="15s",
            ),
        ),
    )


def early_warning() -> Group:
    """What works now and will not for long. Becomes a ticket, never a page."""
    start, restarting = "GatewayNextStartFails", "GatewayServiceRestarting"
    drift, workers = "GatewayDependencyDrift", "GatewayWorkersDying"
    reload = "GatewayNextReloadFails"
    which = wording.packages(" It is about: ", ".")
    install = (
        "Finish or undo the deploy: install what the project declares into the service's "
        "virtualenv. badgateway check names file and line."
    )
    running = "{{ $labels.backend }} on {{ $labels.instance }}"
    return Group(
        "badgateway.early-warning",
        "15s",
        (
            Alert(
                start,
                px.next_start_fails(soon=False),
                "warning",
                "early-warning",
                wording.warning(
                    start,
                    "will not survive its next restart",
                    f"{running} runs, but started anew it would fail.{which}",
                    install,
                    about=wording.ABOUT_PACKAGES,
                ),
                hold=at.NEXT_START_WAIT,
            ),
            Alert(
                start,
                px.next_start_fails(soon=True),
                "warning",
                "early-warning",
                wording.warning(
                    start,
                    "will fail when its next worker is recycled",
                    f"{running} runs, but started anew it would fail, and every worker that "
                    f"is replaced is started anew: it takes no restart.{which}",
                    install,
                    about=wording.ABOUT_PACKAGES,
                ),
                hold=at.NEXT_WORKER_WAIT,
                labels={"urgency": "high"},
            ),
            Alert(
                reload,
                px.next_reload_harms(),
                "warning",
                "early-warning",
                wording.warning(
                    reload,
                    "will not survive the next reload of its proxy",
                    f"{running} answers, but the configuration on disk of a proxy in front of it "
                    f"would be refused, or would send its requests elsewhere.{wording.RELOAD_RISK}",
                    "Do not reload the proxy. badgateway check PROXY names file and line; correct "
                    "it and check again.",
                    about=wording.ABOUT_RELOAD,
                ),
                hold=at.NEXT_RELOAD_WAIT,
            ),
            Alert(
                restarting,
                px.service_restarting(),
                "warning",
                "early-warning",
                wording.warning(
                    restarting,
                    "keeps being restarted",
                    f'{running} started {{{{ printf "%.0f" $value }}}} times in '
                    f"{at.RESTARTS_WINDOW} without anybody asking. {wording.CAUSE_SENTENCE}",
                    "Read why it ends (journalctl -u UNIT), before it ends for longer.",
                    about=wording.ABOUT_CAUSE,
                ),
                keep=at.RESTARTS_WINDOW,
            ),
            Alert(
                drift,
                px.dependency_drift(),
                "warning",
                "early-warning",
                wording.warning(
                    drift,
                    "runs with other packages than it declares",
                    f'{{{{ printf "%.0f" $value }}}} grave differences between what '
                    f"{running} declares and what is installed.{which}",
                    install,
                    about=wording.ABOUT_PACKAGES,
                ),
                hold=at.DRIFT_WAIT,
            ),
            Alert(
                workers,
                px.workers_dying(),
                "warning",
                "early-warning",
                wording.warning(
                    workers,
                    "loses its workers",
                    f'{{{{ printf "%.0f" $value }}}} workers of {running} died in '
                    f"{at.WORKERS_WINDOW}. {wording.CAUSE_SENTENCE}",
                    "See by what they die (badgateway_worker_recycles_total by reason): killed "
                    "for slowness, for memory, or by a fault.",
                    about=wording.ABOUT_CAUSE,
                ),
                keep=at.WORKERS_WINDOW,
            ),
        ),
    )


def meta() -> Group:
    """Whether the rules above could fire at all."""
    absent, source = "GatewayExporterAbsent", "GatewaySourceDown"
    stalled, watchdog = "GatewayProbeStalled", "Watchdog"
    return Group(
        "badgateway.meta",
        "15s",
        (
            Alert(
                absent,
                f"absent(up{{{px.JOB}}})",
                "critical",
                "meta",
                wording.meta(
                    absent,
                    "No badgateway is scraped at all",
                    f"Prometheus has no target of job {at.JOB}: nobody looks for gateway errors.",
                    "Restore the scrape job (alerts/prometheus.yml shows one).",
                ),
                hold="5m",
            ),
            Alert(
                source,
                f"{px.metric('source_up')} == 0",
                "warning",
                "meta",
                wording.meta(
                    source,
                    "badgateway on {{ $labels.instance }} cannot read {{ $labels.source }}",
                    "What {{ $labels.source }} tells is missing from counts and diagnosis on "
                    "{{ $labels.instance }}.",
                    "Its log says why (journalctl -u badgateway): mostly a right or a path.",
                ),
                hold="5m",
            ),
            Alert(
                stalled,
                px.probe_stalled(),
                "warning",
                "meta",
                wording.meta(
                    stalled,
                    "badgateway on {{ $labels.instance }} no longer probes {{ $labels.backend }}",
                    "The last probe of {{ $labels.backend }} is "
                    "{{ $value | humanizeDuration }} old: a failure there would not page.",
                    "See the exporter's log (journalctl -u badgateway), then restart it.",
                ),
                hold="1m",
            ),
            Alert(
                watchdog,
                "vector(1)",
                "none",
                "meta",
                wording.meta(
                    watchdog,
                    "Alerting works",
                    "Always firing. A dead-man's switch expects it and calls when it stops.",
                    "Nothing, as long as it arrives.",
                ),
            ),
        ),
    )


def groups() -> tuple[Group, ...]:
    """Return all rules."""
    return (symptom(), early_warning(), meta())
