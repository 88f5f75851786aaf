"""A web configuration on a disk that does not answer."""

from __future__ import annotations

import ssl
import time
from pathlib import Path

from tests.lab.hung import PRIVATE, Hung, require_hung
from tests.web.test_users import configured, login
from tests.web.world import PASSWORDS, Served, everything, get, make_certificates, status

RIGHT = login("alice", PASSWORDS["alice"])
WRONG = login("alice", "guessed")


def test_no_scrape_waits_for_it_and_what_was_read_last_holds(tmp_path: Path) -> None:
    require_hung()
    folder = tmp_path / "web"
    folder.mkdir()
    web = folder / "web.yml"
    web.write_text(configured())
    with Served(tmp_path, f"--web.config.file={web}", wrapper=PRIVATE) as served:
        assert status(served.ask(get("/metrics", RIGHT))) == 200
        with Hung(served.process.pid, folder):
            served.ask(get("/metrics", RIGHT))  # finds out that it hangs
            begun = time.monotonic()
            for _ in range(20):
                assert status(served.ask(get("/metrics", RIGHT))) == 200
            assert time.monotonic() - begun < 20 * 0.1
            assert status(served.ask(get("/metrics", WRONG))) == 401
            served.wait_for_log("reading the web configuration has hung")
        web.write_text(configured().replace("alice", "carol"))
        deadline = time.monotonic() + 5
        while status(served.ask(get("/metrics", RIGHT))) != 401:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def scraped(served: Served) -> int:
    """Scrape over TLS with a handshake of its own; return the status."""
    client = ssl.create_default_context()
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    with served.tls(client) as talking:
        talking.sendall(get("/metrics"))
        return status(everything(talking))


def test_handshakes_go_on_with_the_certificate_read_last(tmp_path: Path) -> None:
    require_hung()
    folder = tmp_path / "web"
    folder.mkdir()
    make_certificates(folder)
    web = folder / "web.yml"
    web.write_text("tls_server_config: {cert_file: server.crt, key_file: server.key}\n")
    with Served(tmp_path, f"--web.config.file={web}", wrapper=PRIVATE) as served:
        assert scraped(served) == 200
        with Hung(served.process.pid, folder):
            scraped(served)
            begun = time.monotonic()
            for _ in range(10):
                assert scraped(served) == 200
            assert time.monotonic() - begun < 10 * 0.2
        assert scraped(served) == 200
