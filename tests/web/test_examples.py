"""What is shipped as an example is right and whole."""

from __future__ import annotations

import configparser
import dataclasses
from pathlib import Path

import yaml

from badgateway.web import listen, webconfig, weboptions

DEPLOY = Path(__file__).parents[2] / "deploy"


def test_the_example_is_taken_and_shows_every_key() -> None:
    path = DEPLOY / "web-config.example.yml"
    config = webconfig.read(path)
    assert config.tls is not None
    assert config.users
    assert config.rate_limit == weboptions.RateLimit(0.1, 20)
    assert set(config.headers) == set(weboptions.HEADERS)
    text = path.read_text()
    shown = set(yaml.safe_load(text)["tls_server_config"])
    keys = {field.name for field in dataclasses.fields(weboptions.Tls)} - {"places"}
    assert keys - shown == {"cert", "key", "client_ca"}
    assert all(f"`{key}`" in text for key in keys - shown)
    assert all(name in text for name in (*weboptions.VERSIONS, *weboptions.CURVES))


def test_the_socket_is_where_it_listens_by_itself() -> None:
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(DEPLOY / "badgateway.socket")
    assert unit["Socket"]["ListenStream"] == listen.DEFAULT
    assert unit["Socket"]["Accept"] == "no"
