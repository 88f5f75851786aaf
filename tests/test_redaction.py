"""What others wrote is shown without what they should not have written."""

import pytest

from badgateway.redaction import redacted


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cannot connect to postgres://app:hunter2@db/x", "cannot connect to postgres://…@db/x"),
        ("GET https://example.org/a?token=abc&x=1 failed", "GET https://example.org/a?… failed"),
        ("password=hunter2 refused", "password=… refused"),
        ("DB_PASSWORD: 'hunter 2' is wrong", "DB_PASSWORD: … is wrong"),
        ('{"api_key": "hunter2"}', '{"api_key": …}'),
        ("AWS_SECRET_ACCESS_KEY=hunter2", "AWS_SECRET_ACCESS_KEY=…"),
        ("GET /a-?session=hunter2 HTTP/1.1", "GET /a-?… HTTP/1.1"),
        ("Authorization: Bearer hunter2 sent", "Authorization: … sent"),
        ("Set-Cookie: a=hunter2; b=hunter3", "Set-Cookie: …"),
    ],
)
def test_secrets_are_taken_out(text: str, shown: str) -> None:
    assert redacted(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "No module named 'slowapi'",
        "cannot import name 'token' from 'api'",
        "is it there? yes",
        "127.0.0.1:8001 refused",
        "[Errno 98] error while attempting to bind on address ('127.0.0.1', 8001)",
    ],
)
def test_plain_words_stay(text: str) -> None:
    assert redacted(text) == text
