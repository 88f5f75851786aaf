"""Passwords, headers and rates of the web configuration, as a client meets them."""

from __future__ import annotations

import asyncio
import base64
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import bcrypt
import pytest

from badgateway.web import users as passwords
from badgateway.web.users import BusyError, Users, credentials
from tests.web import world
from tests.web.world import PASSWORDS, Served, get, hashed, replace, status

PATHS = ("/", "/metrics", "/-/healthy", "/-/ready", "/api/v1/diagnosis", "/nothing", "/-/reload")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("users")


@pytest.fixture(scope="module")
def served(place: Path) -> Iterator[Served]:
    (place / "web.yml").write_text(configured())
    with Served(place, f"--web.config.file={place / 'web.yml'}") as served:
        yield served


def configured(rounds: int = 4) -> str:
    lines = "".join(f"  {user}: {hashed(user, rounds)}\n" for user in PASSWORDS)
    return "basic_auth_users:\n" + lines


def login(user: str, password: str) -> str:
    return "Authorization: Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize("path", PATHS)
def test_nothing_is_exempt(served: Served, path: str) -> None:
    answer = served.ask(get(path))
    assert status(answer) == 401
    assert b'\r\nwww-authenticate: Basic realm="badgateway"' in answer
    assert answer.endswith(b"\r\n\r\nUnauthorized\n")


@pytest.mark.parametrize("user", PASSWORDS)
def test_the_right_password_lets_in(served: Served, user: str) -> None:
    assert status(served.ask(get("/metrics", login(user, PASSWORDS[user])))) == 200
    assert status(served.ask(get("/metrics", login(user, PASSWORDS[user])))) == 200


@pytest.mark.parametrize(
    "header",
    [
        login("alice", "alice1234"), login("alice", ""), login("", ""), login("nobody", "alice123"),
        login("Alice", "alice123"), login("alice", PASSWORDS["bob"]), "Authorization: Basic",
        "Authorization: Basic %%%", "Authorization: Bearer YWxpY2U6YWxpY2UxMjM=",
        "Authorization: Basic YWxpY2U=", "Authorization: Basic /////w==",
        "Authorization: YWxpY2U6YWxpY2UxMjM=",
    ],
)  # fmt: skip
def test_anything_else_does_not(served: Served, header: str) -> None:
    for _ in range(2):  # computed, then remembered
        assert status(served.ask(get("/metrics", header))) == 401


def test_the_scheme_is_written_in_any_case(served: Served) -> None:
    header = login("alice", "alice123").replace("Basic", "bASIC")
    assert status(served.ask(get("/metrics", header))) == 200


def test_who_has_said_all_is_answered(served: Served, place: Path) -> None:
    replace(place / "web.yml", configured(rounds=10))
    with served.connect() as talking:
        talking.sendall(get("/metrics", login("alice", "alice123")).replace(b"close", b"x"))
        talking.shutdown(socket.SHUT_WR)
        assert status(world.everything(talking)) == 200
    replace(place / "web.yml", configured())


def test_no_password_is_logged(served: Served) -> None:
    served.ask(get("/metrics", login("alice", "hunter2")))
    assert "hunter2" not in served.log.read_text()
    assert "alice123" not in served.log.read_text()


def test_a_changed_password_counts_from_the_next_request_on(served: Served, place: Path) -> None:
    assert status(served.ask(get("/", login("alice", "alice123")))) == 200
    replace(place / "web.yml", f"basic_auth_users:\n  alice: {hashed('bob')}\n")
    assert status(served.ask(get("/", login("alice", "alice123")))) == 401
    assert status(served.ask(get("/", login("alice", PASSWORDS["bob"])))) == 200
    assert status(served.ask(get("/", login("bob", PASSWORDS["bob"])))) == 401
    replace(place / "web.yml", configured())
    assert status(served.ask(get("/", login("alice", "alice123")))) == 200


@pytest.mark.parametrize(
    "text",
    [
        "", "basic_auth_users:\n", "basic_auth_users: [", "basic_auth_users:\n  a: b\n",
        "http_server_config:\n  headers:\n    X-Frame-Options: deny\n",
    ],
)  # fmt: skip
def test_a_file_that_loses_its_users_protects_nobody_less(
    served: Served, place: Path, text: str
) -> None:
    assert status(served.ask(get("/", login("alice", "alice123")))) == 200
    replace(place / "web.yml", text)
    answer = served.ask(get("/metrics"))
    assert status(answer) == 500
    assert b"badgateway_" not in answer
    assert status(served.ask(get("/", login("alice", "alice123")))) == 500
    served.wait_for_log("cannot be used, nothing is served")
    replace(place / "web.yml", configured())
    assert status(served.ask(get("/", login("alice", "alice123")))) == 200


def test_a_file_that_is_gone_protects_nobody_less(served: Served, place: Path) -> None:
    (place / "web.yml").rename(place / "away.yml")
    assert status(served.ask(get("/metrics"))) == 500
    (place / "away.yml").rename(place / "web.yml")
    assert status(served.ask(get("/metrics"))) == 401


def test_headers_are_set_on_every_answer(served: Served, place: Path) -> None:
    fixture = (world.FIXTURES / "good" / "headers.yml").read_text()
    replace(place / "web.yml", fixture + configured())
    for answer in (served.ask(get("/")), served.ask(get("/", login("alice", "alice123")))):
        head = answer.partition(b"\r\n\r\n")[0].lower()
        assert head.count(b"\r\nx-frame-options: deny") == 1
        assert b"\r\nstrict-transport-security: max-age=31536000; includesubdomains" in head
        assert b"\r\nx-content-type-options: nosniff" in head
        assert b"\r\nx-xss-protection: 1" in head
        policies = [line for line in head.splitlines() if line.startswith(b"content-security")]
        assert policies == [b"content-security-policy: default-src 'self' *.test.example.net"]
    replace(place / "web.yml", configured())


@pytest.mark.parametrize(
    ("limit", "statuses"),
    [
        ("interval: 1h\n  burst: 2", [200, 200, 429, 429]),
        ("interval: 1s\n  burst: 0", [429, 429]),
        ("interval: 0\n  burst: 0", [200] * 4),
        ("interval: 1ms\n  burst: 1", [200]),
    ],
)
def test_the_rate_is_limited(served: Served, place: Path, limit: str, statuses: list[int]) -> None:
    replace(place / "web.yml", configured() + f"rate_limit:\n  {limit}\n")
    request = get("/-/healthy", login("alice", "alice123"))
    assert [status(served.ask(request)) for _ in statuses] == statuses
    replace(place / "web.yml", configured())


def test_guesses_do_not_keep_a_scraper_waiting(served: Served, place: Path) -> None:
    replace(place / "web.yml", configured(rounds=10))
    scraper = get("/metrics", login("alice", "alice123"))
    assert status(served.ask(scraper)) == 200
    guesses = [served.connect() for _ in range(40)]
    for number, guess in enumerate(guesses):
        guess.sendall(get("/metrics", login("alice", f"guess{number}")))
    begun = time.monotonic()
    for _ in range(5):
        assert status(served.ask(scraper)) == 200
    assert time.monotonic() - begun < 1
    statuses = [status(world.everything(guess)) for guess in guesses]
    assert set(statuses) == {401, 503}
    assert statuses.count(401) <= passwords.WAITING + 1
    replace(place / "web.yml", configured())


def test_a_password_that_is_being_checked_does_not_keep_it_from_stopping(tmp_path: Path) -> None:
    (tmp_path / "web.yml").write_text(configured(rounds=4).replace("$04$", "$16$"))
    with Served(tmp_path, f"--web.config.file={tmp_path / 'web.yml'}") as stopped:
        with stopped.connect() as first, stopped.connect() as second:
            for talking in (first, second):
                talking.sendall(get("/", login("alice", "alice123")))
            time.sleep(0.3)
            begun = time.monotonic()
            assert stopped.end() == 0
            assert time.monotonic() - begun < 3
        assert "Traceback" not in stopped.log.read_text()


# -- by itself


def asked(found: Users, users: dict[str, str], user: str, password: str) -> bool:
    header = login(user, password).removeprefix("Authorization: ")
    return asyncio.run(_asked(found, users, header))


async def _asked(found: Users, users: dict[str, str], header: str) -> bool:
    return await found.allowed(users, header)


def test_an_unknown_user_costs_as_much_as_a_known_one(monkeypatch: pytest.MonkeyPatch) -> None:
    costs = []
    real = bcrypt.checkpw

    def noted(password: bytes, against: bytes) -> bool:
        costs.append(against[4:6])
        return real(password, against)

    monkeypatch.setattr(bcrypt, "checkpw", noted)
    known = {"alice": hashed("alice", 5)}
    assert not asked(Users(), known, "alice", "wrong")
    assert not asked(Users(), known, "nobody", "wrong")
    assert costs == [b"05", b"05"]


def test_what_is_remembered_is_bounded_and_guesses_do_not_push_it_out() -> None:
    known = {"alice": hashed("alice")}
    found = Users()
    assert asked(found, known, "alice", "alice123")
    for number in range(passwords.REMEMBERED + 30):
        assert not asked(found, known, "alice", f"guess{number}")
    assert len(found._wrong) == passwords.REMEMBERED
    assert list(found._right) == [found._key("alice", known["alice"], b"alice123")]


def test_a_remembered_answer_is_of_one_user_one_hash_and_one_password() -> None:
    # CVE-2022-46146: parts that could be shifted into each other let anybody in
    known = {"alice": hashed("alice")}
    found = Users()
    assert asked(found, known, "alice", "alice123")
    shifted = f"alice{known['alice'][:5]}"
    assert not asked(found, known, shifted, "alice123")
    assert not asked(found, {"alice": hashed("bob")}, "alice", "alice123")
    assert not asked(found, {"bob": known["alice"]}, "alice", "alice123")


def test_a_password_longer_than_bcrypt_reads_is_cut() -> None:
    long = "x" * 100
    known = {"alice": bcrypt.hashpw(long[:72].encode(), bcrypt.gensalt(4)).decode()}
    assert asked(Users(), known, "alice", long)
    assert not asked(Users(), known, "alice", "x" * 71)


def test_too_many_at_once_are_turned_away() -> None:
    async def crowd() -> list[bool | BaseException]:
        found, known = Users(), {"alice": hashed("alice")}
        headers = [
            login("alice", str(number)).removeprefix("Authorization: ") for number in range(40)
        ]
        return await asyncio.gather(
            *(found.allowed(known, header) for header in headers), return_exceptions=True
        )

    answers = asyncio.run(crowd())
    assert sum(isinstance(answer, BusyError) for answer in answers) == 40 - passwords.WAITING
    assert answers.count(False) == passwords.WAITING


def test_credentials_are_split_at_the_first_colon() -> None:
    encoded = base64.b64encode(b"a:b:c").decode()
    assert credentials(f"Basic {encoded}") == ("a", b"b:c")
    assert credentials(None) is None
