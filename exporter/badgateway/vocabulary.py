"""The closed lists: every value a label or an answer may take, with what it means.

A value that is not listed here is never exposed. The meanings are part of the product: they are
printed by ``badgateway diagnose``, shown on the page and copied into the metrics reference.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

Vocabulary = MappingProxyType[str, str]


def _closed(**values: str) -> Vocabulary:
    return MappingProxyType(values)


UPSTREAM_FAILURE_REASONS: Final = _closed(
    dns_failure="the upstream's name did not resolve",
    no_live_upstream="every member is marked down or none is configured; no attempt was made",
    saturated="a configured limit (queue, pool, connections) refused the attempt",
    proxy_resources="the proxy's host ran out of ports, descriptors or memory",
    connect_refused="nothing listens at the upstream address",
    connect_timeout="no answer to the connection attempt in time",
    connect_unreachable="no route to the upstream's host or network",
    socket_missing="the upstream's unix socket does not exist",
    socket_denied="the proxy may not open the upstream's socket",
    backlog_full="the upstream's unix socket has a full queue",
    connect_failed="the connection failed and the log does not say how",
    tls_handshake="the TLS handshake with the upstream broke or timed out",
    tls_certificate="the upstream's certificate was not accepted",
    send_failed="the request could not be delivered completely",
    reset="the upstream reset the connection before a complete response header",
    premature_close="the upstream closed the connection before a complete response header",
    upstream_closed="reset or closed, not told apart by the log",
    response_timeout="connected and sent, but no response header in time",
    invalid_response="the answer could not be parsed or spoke another protocol",
    header_too_big="the response header exceeds the proxy's buffer",
    body_truncated="broke after the header: the client holds half a body",
    body_timeout="the body or tunnel stalled",
    proxy_io="the proxy's own temporary or cache files failed",
    unknown="a failure that nothing explains",
)

ERROR_ORIGINS: Final = _closed(
    upstream="no usable answer came from the application",
    application="the application itself answered with the error",
    proxy="the proxy was told to answer with the error",
)

WORKER_END_REASONS: Final = _closed(
    max_requests="recycled after its configured number of requests",
    max_lifetime="recycled after its configured lifetime",
    max_memory="recycled above its configured memory",
    timeout="killed by its server because it did not answer in time",
    oom="killed by the kernel for lack of memory",
    sigkill="killed by SIGKILL, without proof of lack of memory",
    segfault="died of a memory fault",
    signal="died of another signal",
    exit_code="ended by itself with an exit code",
    boot_failure="could not start: the application did not load",
    reload="replaced by a reload",
    scale_down="removed because fewer workers were asked for",
    stop="ended with its server",
    stop_timeout="did not end in time when asked to stop",
    orphaned="noticed that its server was gone",
    external_term="asked to end by someone other than its server",
    unknown="gone without a word",
)

PLANNED_WORKER_ENDS: Final = frozenset(
    ("max_requests", "max_lifetime", "max_memory", "reload", "scale_down", "stop", "stop_timeout",
     "orphaned", "external_term")
)  # fmt: skip
"""Ends that belong to a healthy server's life, or to its stopping."""

SERVER_END_REASONS: Final = _closed(
    stop="stopped as asked",
    boot_failure="the application did not load",
    bind_failure="could not listen at its address",
    exec_failed="its command could not be executed",
    usage="refused its command line or configuration",
    worker_lost="gave up because a worker was lost",
    oom="killed by the kernel for lack of memory",
    sigkill="killed by SIGKILL",
    segfault="died of a memory fault",
    signal="died of another signal",
    exit_code="ended by itself with an exit code",
    upgrade="replaced by its successor",
    upgrade_failed="its successor did not start",
    unknown="gone without a word",
)

SERVICE_REASONS: Final = _closed(
    exit_code="its main process ended with an exit code",
    exec_failed="its command could not be executed",
    usage="its command line was refused",
    boot_failure="the application did not load",
    clean_exit="its main process ended without an error and nobody asked for it",
    signal="its main process died of a signal",
    core_dump="its main process crashed and dumped core",
    oom="the kernel killed a process of it for lack of memory",
    watchdog="it did not report in time",
    start_timeout="it did not become ready in time",
    stop_timeout="it did not stop in time",
    runtime_limit="its configured running time was over",
    resources="systemd could not provide what the unit asks for",
    dependency="a unit it needs failed",
    condition="a condition of the unit was not met",
    start_limit="restarted too often: systemd refuses to start it again",
    manual="started or restarted on somebody's order",
    killed="killed on somebody's order",
    recreated="the container was created anew",
    daemon_restart="restarted with the container daemon",
    host_boot="first start after the host booted",
    propagated="restarted along with another unit",
    unknown="started anew; nothing seen says why",
)

DRIFT_SEVERITY: Final = MappingProxyType(
    {
        "import_missing": "fatal",
        "syntax": "fatal",
        "interpreter_missing": "fatal",
        "interpreter_changed": "fatal",
        "requires_python": "fatal",
        "shebang": "fatal",
        "missing": "high",
        "version": "high",
        "abi": "high",
        "import_name": "warn",
        "extra": "warn",
        "requires": "warn",
        "lock_missing": "warn",
        "lock_version": "warn",
        "stale_metadata": "warn",
        "source": "warn",
        "duplicate": "info",
        "broken_dist": "info",
        "unreadable": "info",
    }
)
"""Drift kind → its usual severity; a finding may carry a milder one (see ``packages``)."""

DRIFT_KINDS: Final = _closed(
    import_missing="an import that runs at start finds no module",
    syntax="a file that is loaded at start does not parse",
    interpreter_missing="the virtualenv's interpreter does not exist",
    interpreter_changed="the virtualenv was made for another Python version",
    requires_python="the project asks for another Python version",
    shebang="the start script names an interpreter that is gone or elsewhere",
    missing="declared but not installed",
    version="installed in a version the declaration excludes",
    abi="built for another interpreter",
    import_name="a name is imported that its module does not define",
    extra="the requirements of a declared extra are not installed",
    requires="a requirement of an installed package is not satisfied",
    lock_missing="locked but not installed",
    lock_version="installed in another version than locked",
    stale_metadata="declared after the project was last installed",
    source="installed from another place than declared",
    duplicate="installed twice",
    broken_dist="an installation left half done",
    unreadable="the declaration or the virtualenv cannot be read",
)

LAUNCH_SEVERITY: Final = MappingProxyType(
    {
        "option_unknown": "fatal",
        "option_invalid": "fatal",
        "server_config_missing": "fatal",
        "server_config_invalid": "fatal",
        "program_missing": "fatal",
        "directory_missing": "fatal",
        "user_missing": "fatal",
        "environment_file_missing": "fatal",
    }
)
"""What is wrong with a command line → its severity."""

LAUNCH_KINDS: Final = _closed(
    option_unknown="the installed server has no option of this name",
    option_invalid="the installed server refuses this value of an option",
    server_config_missing="the server's configuration file does not exist",
    server_config_invalid="the server's configuration file does not parse",
    program_missing="the program that would be started does not exist",
    directory_missing="the working directory does not exist",
    user_missing="the user or group that would run it does not exist",
    environment_file_missing="an environment file that it needs does not exist",
)
"""Why a start would fail although the packages are fine; findings of ``check`` beside the drift
kinds, and reasons of ``next_start``."""

ROUTE_SEVERITY: Final = MappingProxyType(
    {
        "proxy_config_unreadable": "high",
        "proxy_config_invalid": "fatal",
        "proxy_config_template": "info",
        "upstream_invalid": "high",
        "upstream_not_listening": "high",
        "upstream_other_application": "high",
        "upstream_other_family": "high",
        "upstream_not_expected": "high",
        "name_unresolved": "fatal",
        "name_pinned": "warn",
        "socket_missing": "high",
        "socket_permission": "high",
        "routes_differ": "high",
        "timeout_ladder": "info",
    }
)
"""What is wrong with a proxy's configuration → its usual severity."""

ROUTE_KINDS: Final = _closed(
    proxy_config_unreadable="a part of the configuration cannot be read",
    proxy_config_invalid="the proxy would refuse the configuration",
    proxy_config_template="a template that is not rendered yet; not judged",
    upstream_invalid="an upstream's address is none",
    upstream_not_listening="nothing listens at an upstream's address",
    upstream_other_application="a site would be led to another application than its own",
    upstream_other_family="the application listens on the other address family only",
    upstream_not_expected="an upstream is none of those expected to listen",
    name_unresolved="an upstream's name leads nowhere",
    name_pinned="an upstream's name leads elsewhere since it was looked up",
    socket_missing="an upstream's unix socket does not exist",
    socket_permission="the proxy may not open an upstream's unix socket",
    routes_differ="two configurations do not lead the same sites alike",
    timeout_ladder="the proxy waits longer than the server lets a worker live",
)
"""Findings of ``check`` about a proxy's configuration."""

DESTINATIONS: Final = _closed(
    listening="something listens there",
    not_listening="nothing listens there",
    other_family="something listens at the same port, on the other address family only",
    name_unresolved="its name leads nowhere",
    socket_missing="its unix socket does not exist",
    socket_permission="the proxy may not open its unix socket",
    invalid="it is no address",
    remote="it is elsewhere: what listens there cannot be seen from here",
    unknown="it cannot be told",
)
"""What is found where a route leads."""

HOPS: Final = _closed(
    proxy="the reverse proxy",
    server="the application server",
)

TIMEOUT_SETTINGS: Final = _closed(
    connect="how long a connection to the upstream may take to be made",
    send="how long the upstream may take nothing of the request",
    read="how long the upstream may send nothing",
    upstream_keepalive="how long the proxy keeps an idle connection to the upstream",
    worker="how long a worker may give no sign of life before its server kills it",
    graceful="how long a worker may take to end what it is doing",
    keepalive="how long the server keeps an idle connection",
    healthcheck="how long a worker may leave its server's health check unanswered",
)
"""Settings of ``timeout_seconds``; each hop has some of them."""

CONFIG_CHECKS: Final = _closed(
    timeout_ladder="the proxy waits longer than the server lets a worker live",
    keepalive_ladder="the server closes idle connections before the proxy stops using them",
)
"""Settings of two hops that do not fit each other; informational by themselves."""

STALE_KINDS: Final = _closed(
    code_newer="code on disk is newer than the running process",
    deps_newer="packages on disk are newer than the running process",
    lib_deleted="a library the process runs was replaced on disk",
    release_flipped="the release link points elsewhere since the process started",
    unit_reload_needed="systemd has not read the changed unit",
    unit_changed="the unit changed since the process started",
    env_changed="the environment file changed since the process started",
    server_config_changed="the server's configuration changed since it was read",
    proxy_config_pending="the proxy's configuration changed since it was loaded",
    proxy_config_invalid="the proxy's configuration on disk would be refused",
    image_changed="the image was replaced since the container was created",
    compose_changed="the compose file changed since the container was created",
)

NEXT_START_VERDICTS: Final = _closed(
    ok="nothing found that would keep it from starting",
    may_fail="something found that may keep it from starting",
    will_fail="something found that will keep it from starting",
    unknown="cannot be judged",
)

RESTART_TRIGGERS: Final = _closed(
    restart="a restart of the service",
    worker_recycle="the next worker that ends and is replaced",
)

CAUSES: Final = _closed(
    service_stopped="the service is stopped",
    crash_loop="the service keeps crashing and being restarted",
    missing_dependency="a package the application needs is not installed",
    boot_failure="the application does not load",
    bad_option="its server refuses its command line or configuration",
    port_conflict="it cannot listen at its address because another does",
    wrong_upstream="the proxy sends its requests to an address that is not its own",
    name_unresolved="the name that the proxy sends its requests to leads nowhere",
    host_unreachable="the host that the proxy sends its requests to cannot be reached",
    socket_missing="the unix socket that the proxy connects to does not exist",
    socket_permission="the proxy may not open its unix socket",
    proxy_down="the proxy in front of it does not run, or does not listen",
    proxy_answers_itself="the proxy answers with the error by itself, and does not ask it",
    worker_timeout="its server kills workers that do not answer in time",
    worker_oom="the kernel kills its workers for lack of memory",
    worker_crash="its workers die while they answer",
    upstream_slow="it takes connections and does not answer in time",
    container_unhealthy="it runs, and its container's health check fails too",
    deploying="it is being deployed or restarted and is not up yet",
    undetermined="failing, and the evidence does not say why",
    none="nothing is wrong",
)
"""Causes that a rule can conclude and a test provokes; the list grows with the rules."""

RISKS: Final = _closed(
    next_start_fails="the next start will fail",
    next_reload_fails="the proxy would refuse its configuration at the next reload",
    next_reload_misroutes="after the next reload the proxy sends its requests to a wrong place",
    name_pinned="the proxy uses an address that its name no longer leads to",
    timeout_ladder="the proxy waits longer than a worker may be silent, and answers come near it",
    memory_near_limit="it uses nearly all the memory it may use",
    restart_policy_gives_up="nobody will start its container again when it ends",
)

PROBE_VANTAGES: Final = _closed(
    edge="the public URL, as clients see it",
    proxy="the proxy on this host",
    origin="the application behind the proxy",
)

PROBE_FAILURE_REASONS: Final = _closed(
    status="the status was not one of those expected, or 502, 503 or 504",
    body="the body did not hold what was expected",
    dns_failure="the name did not resolve",
    connect_refused="the connection was refused",
    connect_timeout="the connection was not accepted in time",
    connect_unreachable="no route to the address",
    connect_failed="the connection failed otherwise",
    tls_handshake="the TLS handshake failed",
    tls_certificate="the certificate was not accepted",
    response_timeout="no answer in time",
    reset="the connection was closed or reset before the answer",
    invalid_response="the answer was not HTTP",
    configuration="nothing was asked: a secret that the probe needs could not be read",
    unknown="failed otherwise",
)

PROBE_PHASES: Final = _closed(
    connect="until connected, TLS included",
    response="from the request sent to the response header",
    total="from start to end",
)

SERVICE_STATES: Final = _closed(
    active="running",
    reloading="reading its configuration again",
    inactive="not running",
    failed="not running after a failure",
    activating="starting, or waiting to be started again",
    deactivating="stopping",
    maintenance="under maintenance",
    refreshing="refreshing its mounts",
    paused="its container is paused: it answers nothing until somebody resumes it",
    not_found="the unit or container does not exist",
    unknown="cannot be seen",
)

DEPLOY_KINDS: Final = _closed(
    code="the project's files",
    packages="the virtualenv's packages",
    image="the container's image",
    release="the release link",
    configuration="the proxy's configuration",
    marker="announced by an operator",
)

LINE_RESULTS: Final = _closed(
    event="understood, and something happened",
    ignored="understood, and nothing happened",
    unknown="not understood",
)

SERVERS: Final = _closed(
    uvicorn="uvicorn",
    gunicorn="gunicorn",
    hypercorn="hypercorn",
    granian="granian",
    uwsgi="uWSGI",
    unknown="not recognised",
)

MANAGERS: Final = _closed(
    systemd="a systemd unit",
    docker="a container of Docker",
    process="a process that no manager was found for",
)

SEVERITIES: Final = ("info", "warn", "high", "fatal")
"""Findings' severities, mildest first."""

CLIENT_CLOSED_REQUEST: Final = 499
"""nginx' own status, and Caddy's since 2.11, for a client that left."""

# The IANA registry of HTTP status codes (2025-09), and nginx' own 499.
HTTP_CODES: Final = frozenset(
    str(code)
    for code in (
        *range(100, 105), *range(200, 209), 226, *range(300, 309), *range(400, 419),
        *range(421, 427), 428, 429, 431, 451, CLIENT_CLOSED_REQUEST, *range(500, 509), 510, 511,
    )
)  # fmt: skip


def http_code(code: int | str | None) -> str:
    """Return ``code`` as a label value: a registered HTTP status, or ``other``."""
    text = str(code)
    return text if text in HTTP_CODES else "other"
