"""Log settings that tell what the default logs leave out, ready to paste.

Source of what each field tells: recordings of nginx 1.22 and 1.31, Caddy 2.6 and 2.11, HAProxy 2.6
and 3.4.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

_NGINX: Final = r"""
# nginx: in the http block, for instance as /etc/nginx/conf.d/upstream-log.conf
#
# One JSON line for each request, with every attempt at an upstream: who was tried, what it
# answered, how long it took. It tells the application's own 5xx from a gateway's, and retries that
# went well. Every value stands in quotes on purpose: a status may be 009, and times may be lists.
# The query string is in "uri"; use $document_uri instead if yours hold secrets.
log_format upstream_json escape=json
    '{"time":"$time_iso8601","msec":"$msec","conn":"$connection","conn_req":"$connection_requests",'
    '"req_id":"$request_id","remote":"$remote_addr","server":"$server_name","host":"$host",'
    '"method":"$request_method","uri":"$request_uri","status":"$status",'
    '"bytes":"$body_bytes_sent","completion":"$request_completion","rt":"$request_time",'
    '"proxy_host":"$proxy_host","ua":"$upstream_addr","us":"$upstream_status",'
    '"uct":"$upstream_connect_time","uht":"$upstream_header_time",'
    '"urt":"$upstream_response_time","ubr":"$upstream_bytes_received",'
    '"ubs":"$upstream_bytes_sent","ucl":"$upstream_http_content_length",'
    '"url":"$upstream_response_length"}';

# A server or location with an access_log of its own needs this line there too.
access_log /var/log/nginx/upstream.json upstream_json;

# The reason of a failed attempt stands in the error log only; `warn` also tells when an upstream
# was taken out of turn. It replaces the error_log that nginx.conf may have in its main block.
error_log /var/log/nginx/error.log warn;

# Then:  nginx -t && systemctl reload nginx
"""

_CADDY: Final = r"""
# Caddy: a Caddyfile. Keep your own site address and upstream; take over the rest.
{
    # A log for handlers' errors: the reason of a failed request is in no other line, and where
    # handle_errors is used it is told at level DEBUG only.
    log errors {
        include http.log.error
        level DEBUG
        output file /var/log/caddy/errors.json
    }
}

example.com {
    # Requests are logged only where a site asks for it.
    log {
        output file /var/log/caddy/access.json
    }

    # Caddy 2.8 and later: take the # away. These tell the application's own 5xx from Caddy's, and
    # which upstream it was.
    #log_append upstream {http.reverse_proxy.upstream.hostport}
    #log_append upstream_status {http.reverse_proxy.status_code}
    #log_append upstream_latency_ms {http.reverse_proxy.upstream.latency_ms}
    #log_append upstream_retries {http.reverse_proxy.retries}

    reverse_proxy localhost:8000 {
        transport http {
            # Without it Caddy waits for ever: a hung application is never an error. More than the
            # slowest answer takes.
            response_header_timeout 60s
        }
    }
}

# Then:  caddy validate --config /etc/caddy/Caddyfile && systemctl reload caddy
"""

_HAPROXY: Final = r"""
# HAProxy: in the defaults section, or in every frontend and backend; it replaces `option httplog`.
#
# This is what httplog writes, followed by how the connection to the server failed and which server
# it was. Without either a line says nothing but who connected.
    log global

    # HAProxy 2.5 to 3.0:
    log-format "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs %{+Q}r bc_err=%[bc_err] bc_err_str=%{+Q}[bc_err_str] ssl_bc_err=%{+Q}[ssl_bc_err_str] srv=%si:%sp"

    # HAProxy 3.1 and later: this one instead; it names refused, reset and unreachable.
    #log-format "${HAPROXY_HTTP_LOG_FMT} bc_err=%[bc_err_name] ssl_bc_err=%{+Q}[ssl_bc_err_str] last=%{+Q}[last_entity] wait=%{+Q}[waiting_entity] srv=%si:%sp"

    # Says why a health check took a server out.
    option log-health-checks

    # Before 3.3: a client that leaves is otherwise logged as a timeout of the server.
    option abortonclose

# Then:  haproxy -c -f /etc/haproxy/haproxy.cfg && systemctl reload haproxy
"""  # noqa: E501 - a directive is one line

ADVICE: Final = MappingProxyType(
    {"nginx": _NGINX.lstrip(), "caddy": _CADDY.lstrip(), "haproxy": _HAPROXY.lstrip()}
)
"""Program → what to put into its configuration."""


def program(dialect: str) -> str | None:
    """Return the program of a dialect that there is advice for."""
    name = dialect.partition("-")[0]
    return name if name in ADVICE else None
