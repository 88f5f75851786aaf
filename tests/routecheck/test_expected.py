"""Lists of what is expected to listen, in the forms that people have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from badgateway.routecheck import expected
from badgateway.routecheck.expected import ExpectError

WANTED = ("127.0.0.1:8001", "unix:/run/shop.sock", "[::1]:8002")


def read(folder: Path, text: str) -> tuple[str, ...]:
    path = folder / "expected"
    path.write_text(text)
    return expected.read(path)


@pytest.mark.parametrize(
    "text",
    [
        "# production\n127.0.0.1:8001  # shop\n\nunix:/run/shop.sock\n[::1]:8002\n",
        '["127.0.0.1:8001", "unix:/run/shop.sock", "[::1]:8002"]',
        '- 127.0.0.1:8001\n- unix:/run/shop.sock\n- "[::1]:8002"\n',
        "backends:\n"
        "  - name: shop\n    upstreams: [127.0.0.1:8001, 'unix:/run/shop.sock']\n"
        "  - name: mail\n"
        "  - name: blog\n    upstreams: ['[::1]:8002']\n",
        "\ufeff127.0.0.1:8001\r\nunix:/run/shop.sock\r\n[::1]:8002\r\n127.0.0.1:8001\r\n",
    ],
)
def test_a_list_is_read_in_each_form(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) == WANTED


COMPOSE = """
services:
  web:
    image: shop
    ports: ["127.0.0.1:8001:8000", "9001:9000/tcp", "7000", "3000-3005:3000-3005"]
  worker:
    container_name: shop-worker
    ports: [{target: 80, published: 8080, host_ip: 0.0.0.0}]
    networks: {front: {aliases: [jobs]}, back: }
  db:
"""


def test_a_compose_files_services_are_expected_by_name_and_where_published(
    tmp_path: Path,
) -> None:
    listed = read(tmp_path, COMPOSE)
    assert listed == (
        "web:*", "127.0.0.1:8001", "127.0.0.1:9001", "worker:*", "shop-worker:*", "jobs:*",
        "127.0.0.1:8080", "db:*",
    )  # fmt: skip
    assert expected.fits("web:8000", listed)
    assert expected.fits("localhost:9001", listed)
    assert not expected.fits("wbe:8000", listed)  # a service that was renamed
    assert expected.nearest("webb:8000", listed) == "web:8000"
    assert not expected.fits("127.0.0.1:8000", listed)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "lists nothing"),
        ("backends: []\n", "lists nothing"),
        ("127.0.0.1:8001\nshop:port\n", ":2: `shop:port` is no address"),
        ("proxies: []\n", "neither a list of addresses nor has it `backends`"),
        ("just words\n", ":1: `just words` is no address: no port"),
        ("# ours\n127.0.0.1:8001\n127.0.0.1\n", ":3: `127.0.0.1` is no address: no port"),
        ("a: [\n", "neither a list of addresses nor YAML"),
    ],
)
def test_a_list_that_is_none_is_told_why(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ExpectError) as told:
        read(tmp_path, text)
    assert said in str(told.value)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("127.0.0.1:8010", "127.0.0.1:8001"),
        ("10.0.0.1:9000", "10.0.0.2:9000"),
        ("unix:/run/shp.sock", "unix:/run/shop.sock"),
        ("db.example.org:5432", ""),
    ],
)
def test_the_nearest_address_is_the_one_that_was_meant(written: str, meant: str) -> None:
    known = ("127.0.0.1:8001", "10.0.0.2:9000", "unix:/run/shop.sock", "unix:/run/mail.sock")
    assert expected.nearest(written, known) == meant


def test_of_several_that_are_as_near_none_was_surely_meant() -> None:
    known = ("127.0.0.1:8101", "127.0.0.1:8102", "127.0.0.1:8103")
    assert expected.nearest("127.0.0.1:8109", known) == ""
    assert expected.nearest("127.0.0.1:8120", known) == "127.0.0.1:8102"  # digits exchanged
