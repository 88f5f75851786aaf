"""Good files: what is read from them."""

from __future__ import annotations

from pathlib import Path

import pytest

from badgateway import config

GOOD = Path(__file__).parent / "good"


@pytest.mark.parametrize("path", sorted(GOOD.glob("*.yml")), ids=lambda path: path.stem)
def test_a_good_file_is_read(path: Path) -> None:
    assert isinstance(config.load(path), config.Config)


def test_nothing_is_needed() -> None:
    assert config.load(None) == config.Config()
    assert config.load(GOOD / "empty.yml") == config.Config()
    assert config.load(GOOD / "comment.yml") == config.Config()


def test_every_key_is_read() -> None:
    found = config.parse(
        """
environment: production
discovery: {enabled: false, interval: 1m, run_proxy_adapter: false}
probes: {enabled: true, default: false, interval: 10s, timeout: 500ms, path: /health}
backends:
  - name: api
    unit: api.service
    upstreams: ["127.0.0.1:8001", "unix:/run/api.sock"]
    project: /srv/api
    virtualenv: /srv/api/.venv
    extras: [postgres]
    logs: [{file: /var/log/api.log}, {journal: api-worker.service}]
    probes:
      - name: public
        url: https://example.org/health
        vantage: edge
        expect: {status: [200, 204], body: ok}
        headers: {X-Check: "1"}
        verify: false
proxies:
  - {name: web, kind: caddy, unit: caddy.service, admin: "http://localhost:2019",
     config: /etc/caddy/Caddyfile, logs: [{file: /var/log/caddy/access.log}]}
"""
    )
    assert found.environment == "production"
    assert float(found.discovery.interval) == 60.0
    assert found.probes.timeout == 0.5
    (backend,) = found.backends
    assert backend.probes[0].expect.status == (200, 204)
    assert backend.probes[0].headers["X-Check"].reveal() == "1"
    assert backend.logs[1].journal == "api-worker.service"
    assert found.proxies[0].admin == "http://localhost:2019"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5s", 5), ("250ms", 0.25), ("1m30s", 90), ("2h", 7200), ("1h2m3s4ms", 3723.004)],
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert config.seconds(text) == pytest.approx(seconds)


def test_aliases_and_merges_are_written_out() -> None:
    api, web = config.load(GOOD / "aliases.yml").backends
    assert web.probes[0].name == api.probes[0].name == "public"
    assert web.probes[0].url == "https://web.example/health"
    assert web.probes[0].expect == web.probes[1].expect == api.probes[0].expect


def test_a_byte_order_mark_and_line_ends_of_windows_are_no_matter() -> None:
    found = config.load(GOOD / "bom-and-crlf.yml")
    assert found.environment == "production"
    assert float(found.probes.interval) == 10.0


def test_paths_of_secrets_begin_at_the_files_directory() -> None:
    first, _ = config.load(GOOD / "secrets.yml").backends[0].probes
    assert first.basic_auth is not None
    assert first.basic_auth.password_file == config.SecretFile(GOOD / "secrets" / "password")
    assert first.headers_file["X-Api-Key"] == config.SecretFile(Path("/etc/badgateway/key"))


def test_a_secret_is_never_shown() -> None:
    found = config.load(GOOD / "secrets.yml")
    assert found.backends[0].probes[1].authorization is not None
    secret = found.backends[0].probes[1].authorization.credentials
    assert secret is not None
    assert secret.reveal() == "a b:c=="
    for shown in (repr(found), str(found), f"{found}", repr(secret), f"{secret}"):
        assert "a b:c==" not in shown
    assert "<secret>" in repr(found)
