"""Configurations that something has to be filled in before a proxy reads them."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway.topology.proxies.templates import template_of
from tests.lab.parts import unpacked


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("envsubst", "http {\n    ${BLOCK}\n}"),
        ("envsubst", "server {\n  ${EXTRA_LOCATIONS};\n}"),
        ("envsubst", "server { listen 80;\n$BLOCK;\n}"),
        ("envsubst", "server {\n  listen ${PORT};\n}"),
        ("envsubst", "upstream app {\n  server ${APP_HOST}:8000;\n}"),
        ("envsubst", "worker_processes ${WORKERS};"),
        ("envsubst", "server_name $NGINX_HOST;"),
        ("envsubst", "location / {\n proxy_pass http://${APP_HOST}:${APP_PORT};\n}"),
        ("envsubst", 'add_header X-Env "$DEPLOY_ENV";'),
        ("envsubst", "server_name ${DOMAIN:-shop.test};"),
        ("Jinja", "{% for site in sites %}\nserver { }\n{% endfor %}"),
        ("Jinja", "server_name {{ nginx_host }};"),
        ("Jinja", "server_name \"{{ nginx_host | default('x') }}\";"),
        ("Jinja", "{# made by a role #}\nserver { listen 80; }\n{%- if tls %}x{% endif %}"),
        ("ERB", "<% if tls %>\nlisten <%= @port %> ssl;\n<% end %>"),
        ("Go template", "{{ range $host, $containers := . }}\nupstream {{ $host }} { }\n{{ end }}"),
        ("Go template", '{{range service "web"}}server {{.Address}}:{{.Port}};{{end}}'),
        ("Go template", 'server {{ key "app/address" }};'),
        ("Helm", "server_name {{ .Values.host }};"),
        ("Helm", 'proxy_pass http://{{ include "app.fullname" . }}:{{ .Values.port }};'),
        ("Helm", "location / {\n  return 200 {{ `{{ .x }}` }};\n}"),
        ("Mustache", "{{#sites}}server { listen {{port}}; }{{/sites}}"),
        ("Terraform", "server_name ${var.host};"),
        ("Terraform", "%{ if tls }listen 443 ssl;%{ endif }"),
        ("#@if", "#@if tls\nlisten 443 ssl;\n#@else\nlisten 80;\n#@endif"),
        ("#{X}", "listen #{Port};"),
        ("__X__", "server_name __DOMAIN__;"),
        ("__X__", "proxy_pass http://__APP_HOST__:8000;"),
        ("@X@", "root @WEB_ROOT@/html;"),
        ("%%X%%", "server_name %%host%%;"),
        ("<X>", "server_name <your-domain>;"),
    ],
)
def test_a_template_is_told_by_its_kind(kind: str, text: str) -> None:
    assert template_of(text) == kind


@pytest.mark.parametrize(
    "text",
    [
        "",
        "proxy_pass http://$backend$request_uri;",
        "proxy_pass http://${backend}:8000${uri};",
        'log_format j escape=json \'{"a":{"b":"$status"}}\';',
        "set $APP 127.0.0.1; proxy_pass http://$APP:8000;",
        "map $host $TO { default a; } server { location / { proxy_pass http://$TO; } }",
        r"location ~ ^/(?<ID>\d+)/ { proxy_pass http://a/$ID; }",
        r"location ~ \.(JPG|PNG)$ { expires 1d; }",
        "sub_filter '{{ title }}' 'Shop';",
        "return 200 '{{ name }} <% x %> __X__ %%y%% @Z@';",
        "# {{ made }} by {% hand %} with ${CARE} and <% love %> __NOW__\nserver { listen 80; }",
        "content_by_lua_block { local t = {{1, 2}, {a, b}} ngx.say(t.__index) }",
        "location @fallback { } location /__health__ { } location /__webpack_hmr { }",
        'location ~ "^/[0-9]{2}%20" { rewrite ^ /x%2F$1 break; }',
        "add_header Link '<https://shop.test/a.css>; rel=preload';",
        "if ($http_user_agent ~* (bot|spider)) { return 403; }",
        "server_name ~^(?<sub>.+)\\.shop\\.test$ *.shop.test;",
        "env PATH; user www; error_page 500 502 /50x.html;",
        "location /a# { } # it's {{ quoted",
        'auth_basic "it\'s closed # now"; listen 80;',
        "ssl_ciphers '@SECLEVEL=2:HIGH'; listen unix:@web;",
    ],
)
def test_what_nginx_itself_can_mean_is_no_template(text: str) -> None:
    assert template_of(text) == ""


def test_what_a_distribution_ships_is_no_template() -> None:
    shipped = [
        path
        for name in ("nginx", "nginx-common")
        for path in (unpacked(name) / "etc/nginx").rglob("*")
        if path.is_file()
    ]
    assert len(shipped) > 5
    assert [path for path in shipped if template_of(path.read_text(errors="replace"))] == []


@given(st.text(alphabet="{}%$<>#@_AXa. \n\"'`\\;|", max_size=200))
def test_no_text_breaks_it(text: str) -> None:
    assert isinstance(template_of(text), str)


@pytest.mark.parametrize(
    "piece", ["{{", "{%", "<%", "$A", "${A", "__A", "@A", '"', "'", "#{A", "{{a ", "server_name a "]
)
def test_a_large_text_takes_no_long_time(piece: str) -> None:
    begun = time.process_time()
    template_of(piece * 20_000)
    template_of((piece + "\n") * 20_000)
    assert time.process_time() - begun < 2.0
