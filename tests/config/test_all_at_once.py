"""Every problem is told whatever else is wrong: none hides another, none begets a further one."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from badgateway import config

GOOD = """\
environment: production
discovery:
  interval: 30s
  enabled: true
probes:
  interval: 10s
  timeout: 3s
  path: /health
backends:
  - name: api
    unit: api.service
    upstreams:
      - 127.0.0.1:8001
      - unix:/run/api.sock
    project: /srv/api
    extras: [postgres]
    logs:
      - file: /var/log/api.log
    probes:
      - name: public
        url: https://api.example/
        vantage: edge
        verify: true
        expect:
          status: [200]
          body: ok
        headers: {X-Check: one}
        basic_auth:
          username: monitor
          password_file: secrets/api
      - name: second
        url: https://api.example/second
        authorization: {credentials_file: secrets/token}
  - name: web
    unit: web.service
proxies:
  - name: caddy
    kind: caddy
    admin: http://localhost:2019
    config: /etc/caddy/Caddyfile
""".splitlines()

FAULTS = {
    "environment: production": ["environment: on", "enviroment: production", "environment: [a]"],
    "  interval: 30s": ["  interval: 30", "  interval: 30ms", "  interval:", "  every: 30s"],
    "  enabled: true": ["  enabled: enabled", "  enabled: 1", "  enable: true"],
    "  timeout: 3s": ["  timeout: 3", "  timeout: 20s", "  timeout: 0s", "  tiemout: 3s"],
    "  path: /health": ["  path: health", "  path: 1", "  path: {a: b}"],
    "  - name: api": ["  - nam: api", "  - name: my api", "  - name: 1", "  - name: web"],
    "    unit: api.service": ["    unit: api", "    unit: web.service", "    unit: 2026-11-21"],
    "      - 127.0.0.1:8001": ["      - 8001", "      - localhost", "      - {a: b}", "      -"],
    "      - unix:/run/api.sock": ["      - unix:run/api.sock", "      - a:0"],
    "    project: /srv/api": ["    project: srv/api", "    projekt: /srv/api"],
    "    extras: [postgres]": ["    extras: postgres", "    extras: [yes]", "    extras: ['a b']"],
    "      - file: /var/log/api.log": ["      - file: 7", "      - {}", "      - fil: /a"],
    "      - name: public": ["      - name: second", "      - nme: public", "      - name: []"],
    "        url: https://api.example/": [
        "        url: api.example", "        url: https://a:b@api.example/", "        ulr: x",
    ],
    "        vantage: edge": ["        vantage: outside", "        vantage: 1"],
    "        verify: true": ["        verify: maybe", "        verify: [true]"],
    "          status: [200]": ["          status: [2]", "          status: 200"],
    "          body: ok": ["          body: ''", "          body: 1"],
    "        headers: {X-Check: one}": [
        "        headers: {X-Check: 1}", "        headers: {User-Agent: a}", "        headers: []",
    ],
    "          username: monitor": ["          username: 'a:b'", "          user: monitor"],
    "          password_file: secrets/api": [
        "          password_file: 1", "          password: ", "          x: y",
    ],
    "        authorization: {credentials_file: secrets/token}": [
        "        authorization: {credentials_file: ''}", "        authorization: {}",
        "        authorization: Bearer x",
    ],
    "    kind: caddy": ["    kind: iis", "    kint: caddy", "    kind: [caddy]"],
    "    admin: http://localhost:2019": ["    admin: localhost", "    admin: http://a:b@c"],
    "    config: /etc/caddy/Caddyfile": ["    config: Caddyfile", "    configuration: /etc/c"],
}  # fmt: skip
"""A line of the good file → what may stand in its place, each wrong by itself."""

TOGETHER = {"  - name: web", "    unit: web.service", "      - name: second"}
"""Values that are wrong only beside another line's."""


def problems(lines: list[str]) -> list[str]:
    try:
        config.parse("\n".join(lines), "f")
    except config.ConfigError as error:
        return str(error).split("\n")
    return []


def with_faults(faults: dict[str, str]) -> list[str]:
    return [faults.get(line, line) for line in GOOD]


def test_the_good_file_is_good() -> None:
    assert problems(GOOD) == []
    assert set(FAULTS) <= set(GOOD)


def test_each_fault_is_told() -> None:
    for line, faults in FAULTS.items():
        for fault in faults:
            found = problems(with_faults({line: fault}))
            assert found, fault
            if fault not in TOGETHER:
                numbers = {int(one.split(":")[1]) for one in found}
                number = GOOD.index(line) + 1
                assert number in numbers, (fault, found)


@given(st.dictionaries(st.sampled_from(sorted(FAULTS)), st.integers(0, 3), max_size=len(FAULTS)))
@settings(max_examples=150)
def test_of_several_faults_each_is_told_as_if_it_were_alone(chosen: dict[str, int]) -> None:
    faults = {line: FAULTS[line][n % len(FAULTS[line])] for line, n in chosen.items()}
    faults = {line: fault for line, fault in faults.items() if fault not in TOGETHER}
    alone = {one for line, fault in faults.items() for one in problems(with_faults({line: fault}))}
    together = problems(with_faults(faults))
    assert set(together) == alone
    assert len(together) == len(set(together))
