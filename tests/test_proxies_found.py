"""Proxies that no unit runs, in what the exporter shows: by hand, and in a container."""

from __future__ import annotations

import signal
import time
from functools import partial
from pathlib import Path

import httpx

from tests.caddylog import eventually
from tests.dockerlab import DockerLab, labels
from tests.lab.require import require
from tests.nginxlab import Nginx
from tests.servers import ExporterProcess, free_port

SERVER = (
    "server { listen PORT; server_name shop.test; location / { proxy_pass http://127.0.0.1:9; } }"
)


def shows(exporter: ExporterProcess, *parts: str) -> str:
    """Wait until a line of ``backend_info`` has these parts; return it."""
    deadline = time.monotonic() + 15
    while True:
        text = httpx.get(f"{exporter.url}/metrics", trust_env=False).text
        for line in text.splitlines():
            if line.startswith("badgateway_backend_info{") and all(p in line for p in parts):
                return line
        assert time.monotonic() < deadline, text
        time.sleep(0.2)


def looked_again(exporter: ExporterProcess) -> None:
    """Wait until it has looked at the host once more."""
    ran = partial(exporter.total, "collector_last_run_timestamp_seconds", collector="discovery")
    before = ran()
    eventually(lambda: ran() > before)


def test_an_nginx_started_by_hand_is_shown(tmp_path: Path) -> None:
    with (
        Nginx(tmp_path, SERVER),
        ExporterProcess(tmp_path, "probes: {enabled: false}\n") as exporter,
    ):
        line = shows(exporter, 'site="shop.test"', 'upstream="127.0.0.1:9"')
        assert 'proxy="nginx' in line


def test_an_nginx_in_a_container_is_shown(tmp_path: Path) -> None:
    nginx = require("nginx")
    port = free_port()
    (tmp_path / "nginx").mkdir()
    (tmp_path / "nginx" / "inner").mkdir()
    (tmp_path / "nginx" / "nginx.conf").write_text(
        "user root root; daemon off; error_log stderr; pid /tmp/nginx.pid; events {}\n"
        "http { access_log off; client_body_temp_path /tmp/b; proxy_temp_path /tmp/p;\n"
        "fastcgi_temp_path /tmp/f; uwsgi_temp_path /tmp/u; scgi_temp_path /tmp/s;\n"
        "include sites/*; }\n"
    )
    (tmp_path / "nginx" / "sites").symlink_to("/etc/nginx/inner")  # leads nowhere outside
    (tmp_path / "nginx" / "inner" / "shop").write_text(
        f"server {{ listen 127.0.0.1:{port}; server_name inner.test;\n"
        "location / { proxy_pass http://web:8000; }\nlocation /s { proxy_pass http://unix:/s; } }"
    )
    program = f"{nginx.parent}:/program:ro"
    shared = [
        f"{folder}:{folder}:ro"
        for folder in ("/usr", "/lib", "/lib64", "/etc/passwd", "/etc/group")
    ]
    with DockerLab("--live-restore") as lab:
        identifier = lab.run(
            "shop-proxy-1", "", labels=labels("shop", "proxy"),
            command=["/program/nginx", "-e", "stderr", "-c", "/etc/nginx/nginx.conf"],
            binds=[program, f"{tmp_path}/nginx:/etc/nginx:ro", *shared],
            extra_hosts={"web": "127.0.0.1"},
        )  # fmt: skip
        lab.wait_for(identifier, "running")
        given = (
            f"docker: {{host: '{lab.host}'}}\nprobes: {{enabled: false}}\n"
            "discovery: {interval: 1s}\n"
        )
        with ExporterProcess(tmp_path, given) as exporter:
            line = shows(exporter, 'site="inner.test"', 'upstream="web:8000"')
            assert 'proxy="shop/proxy"' in line
            shows(exporter, 'proxy="shop/proxy"', 'upstream="{unix:/s}"')
            lab.stop(signal.SIGKILL)  # the container runs on, and so does what is known of it
            exporter.wait_for("source_up", 0, source="docker")
            for _ in range(2):
                looked_again(exporter)
            shows(exporter, 'proxy="shop/proxy"', 'upstream="web:8000"')
            lab.start()
