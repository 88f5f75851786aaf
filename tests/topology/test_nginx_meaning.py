"""What nginx' files mean as a whole: sites it answers by itself, what was changed and when."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from badgateway.blocking import Blocking
from badgateway.topology.nginx.reading import NginxFiles
from badgateway.topology.proxies.place import ProxyPlace
from badgateway.topology.routes import LocalAnswer
from tests.topology.test_wild_nginx import SHOP, look

CLOSED = LocalAnswer("shop.test", ":80", 503)


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        ("return 503; location / { proxy_pass http://a:1; }", (CLOSED,)),
        ("location / { return 503; } location /api { proxy_pass http://a:1; }", (CLOSED,)),
        ("location ^~ / { return 502 'soon'; }", (LocalAnswer("shop.test", ":80", 502),)),
        ("location /maintenance-test { return 503; } location / { proxy_pass http://a:1; }", ()),
        ("location = / { return 503; }", ()),
        ("if (-f /closed) { return 503; } location / { proxy_pass http://a:1; }",
         (LocalAnswer("shop.test", ":80", 503, conditional=True),)),
        ("if ($remote_addr = 10.0.0.1) { break; } return 503;",
         (LocalAnswer("shop.test", ":80", 503, conditional=True),)),
        ("return 301 https://shop.test; location / { return 503; }", ()),
        ("break; return 503;", ()),
        ("return 404;", ()),
        ("return 444;", ()),
        ("return https://shop.test;", ()),
        ("error_page 503 /closed.html; return 503;", (CLOSED,)),
        ("error_page 503 =200 /closed.html; return 503;", ()),
        ("error_page 503 @app; location / { return 503; } location @app { proxy_pass http://a:1; }",
         ()),
    ],
)  # fmt: skip
def test_a_site_that_nginx_answers_by_itself_is_known(
    tmp_path: Path, server: str, expected: tuple[LocalAnswer, ...]
) -> None:
    found = look(tmp_path, f"http {{ server {{ server_name shop.test; {server} }} }}")
    assert found.local == expected
    assert all(answer.place == f"{tmp_path}/nginx.conf:1" for answer in found.local)


def test_the_digest_tells_what_is_meant_and_not_how_it_is_written(tmp_path: Path) -> None:
    first = look(tmp_path, f"http {{ {SHOP} }}").digest
    assert first
    assert look(tmp_path, f"# a comment\nhttp\n{{\n\n  {SHOP}  }} # more\n").digest == first
    assert look(tmp_path, "http { include a.conf; }", a_conf=SHOP).digest == first
    assert look(tmp_path, f"http {{ {SHOP.replace('8001', '8002')} }}").digest != first
    assert look(tmp_path, f"http {{ {SHOP} ").digest not in ("", first)
    assert look(tmp_path, "http { include a.conf.d; }").digest not in ("", first)
    (tmp_path / "folder").mkdir()
    assert look(tmp_path, "http { include folder; }").digest == ""


def test_what_was_changed_last_is_known(tmp_path: Path) -> None:
    (tmp_path / "sites").mkdir()
    found = look(tmp_path, f"http {{ include sites/*; {SHOP} }}")
    status = (tmp_path / "nginx.conf").stat()
    assert found.changed == pytest.approx(max(status.st_mtime, status.st_ctime), abs=1e-3)
    (tmp_path / "sites" / "a").write_text("")
    later = look(tmp_path, f"http {{ include sites/*; {SHOP} }}").changed
    (tmp_path / "sites" / "a").unlink()
    assert later > found.changed
    place = ProxyPlace("web", "nginx", config=str(tmp_path / "nginx.conf"))
    last = asyncio.run(NginxFiles().look(place, Blocking("reading", 5.0))).changed
    assert last == pytest.approx((tmp_path / "sites").stat().st_ctime, abs=1e-3)
