"""What the README shows works."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import yaml

from badgateway import config as settings
from badgateway import vocabulary
from badgateway.cli import main
from tests.lab.parts import CHECKOUT

README = (CHECKOUT / "README.md").read_text()
BAD = """\
backends:
  - name: api
    pobes: []
proxies:
  - name: web
    unit: caddy.service
    logs: []
    kind: cady
"""


def test_its_configuration_is_taken() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", README, re.S)
    config = settings.parse(text)
    assert [b.name for b in config.backends] == [
        b["name"] for b in yaml.safe_load(text)["backends"]
    ]


def test_the_errors_it_shows_are_those_told(tmp_path: Path) -> None:
    (tmp_path / "badgateway.yml").write_text(BAD)
    (shown,) = re.findall(r"```\n\$ badgateway (serve --config.check .*?)```", README, re.S)
    command, _, wanted = shown.partition("\n")
    done = subprocess.run(
        [Path(sys.executable).with_name("badgateway"), *command.split()],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=20,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == wanted


def test_it_lists_every_command() -> None:
    table = re.findall(r"^\| `badgateway ([a-z]+)", README, re.M)
    assert sorted(table) == sorted(main.commands)


def test_it_explains_every_cause() -> None:
    for cause in set(vocabulary.CAUSES) - {"none"}:
        assert f"| `{cause}` |" in README
