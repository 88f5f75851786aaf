"""The configuration file: strict, and errors that name the place and what is allowed."""

from pathlib import Path

import pytest

from badgateway import config


def test_nothing_is_needed() -> None:
    assert config.load(None) == config.Config()
    assert config.parse("") == config.Config()
    assert config.parse("# only a comment\n") == config.Config()


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
    assert backend.logs[1].journal == "api-worker.service"
    assert found.proxies[0].admin == "http://localhost:2019"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5s", 5), ("250ms", 0.25), ("1m30s", 90), ("2h", 7200), ("1h2m3s4ms", 3723.004)],
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert config.seconds(text) == pytest.approx(seconds)


BAD = [
    (
        "backends:\n  - nam: x\n",
        "c.yml:2:5: backends[0].nam: unknown key; did you mean `name`? allowed: name, unit, "
        "command, working_directory, upstreams, project, virtualenv, extras, logs, probes",
    ),
    (
        "probes:\n  colour: red\n",
        "c.yml:2:3: probes.colour: unknown key; allowed: enabled, default, interval, timeout, path",
    ),
    (
        "probes: {interval: 5}",
        "c.yml:1:10: probes.interval: `5` is no duration; write it like 5s, 1m30s or 250ms",
    ),
    (
        "probes: {interval: 5 sec}",
        "c.yml:1:10: probes.interval: `5 sec` is no duration; write it like 5s, 1m30s or 250ms",
    ),
    ("probes: {timeout: 0s}", "c.yml:1:10: probes.timeout: a duration must be longer than nothing"),
    ("backends: 3", "c.yml:1:1: backends: Expected `array`, got `int`"),
    ("[]", "c.yml:1:1: the file: Expected `object`, got `array`"),
    (
        "environment: a\nenvironment: b\n",
        "c.yml:2:1: `environment` is given twice",
    ),
    (
        "backends:\n  - name: a\n    logs: [{}]\n",
        "c.yml:3:12: backends[0].logs[0]: give either `file` or `journal`",
    ),
    (
        "proxies: [{name: x, kind: nginx}]",
        "c.yml:1:21: proxies[0].kind: Invalid enum value 'nginx'; allowed: caddy",
    ),
    ("a: [", "c.yml:1:5: not valid YAML: expected the node content, but found '<stream end>'"),
    (
        "backends: [{unit: a.service}]",
        "c.yml:1:12: backends[0]: Object missing required field `name`",
    ),
]


@pytest.mark.parametrize(("text", "message"), BAD)
def test_a_bad_file_is_told_with_place_and_remedy(text: str, message: str) -> None:
    with pytest.raises(config.ConfigError) as error:
        config.parse(text, "c.yml")
    assert str(error.value) == message


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(config.ConfigError, match=r"none\.yml: No such file or directory"):
        config.load(tmp_path / "none.yml")


def test_a_file_that_is_not_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "c.yml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(config.ConfigError, match="not UTF-8"):
        config.load(tmp_path / "c.yml")
