"""Addresses and URLs as a configuration gives them."""

import pytest

from badgateway.config.addresses import admin_problem, upstream_problem, url_problem


@pytest.mark.parametrize(
    "url",
    [
        "http://a.example",
        "HTTPS://A.Example:8443/health?x=1",
        "http://a.example/@me",
        "http://a.example/?mail=me@a.example",
        "http://[::1]:8080/",
        "http://[fe80::1%25eth0]/",
        "http://127.0.0.1:1/%20",
        "https://bücher.example/",
        "http://api_1.internal/",
    ],
)
def test_a_url_is_taken(url: str) -> None:
    assert url_problem(url, "") == ""


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://me:pw@a.example/", "holds a user or password; REMEDY"),
        ("http://me@a.example/", "holds a user or password; REMEDY"),
        ("http://:pw@a.example", "holds a user or password; REMEDY"),
        ("http://a:b@c@a.example/", "holds a user or password; REMEDY"),
        ("//me:pw@a.example/", "holds a user or password; REMEDY"),
        ("ftp://me:pw@a.example/", "holds a user or password; REMEDY"),
        ("http://a.example:port/", "is no URL"),
        ("http://a.example:-1/", "is no URL"),
        ("http://a.example:0/", "must have a port from 1 to 65535"),
        ("http://[::1/", "is no URL"),
        ("http://a.example/\x00", "is no URL"),
        ("http:///path", "lacks a host"),
        ("http://", "lacks a host"),
        ("file:///etc/passwd", "must begin with http:// or https://"),
        ("javascript:alert(1)", "must begin with http:// or https://"),
        ("/health", "must begin with http:// or https://"),
    ],
)
def test_a_bad_url_is_told_without_quoting_it(url: str, problem: str) -> None:
    assert url_problem(url, "REMEDY") == problem


@pytest.mark.parametrize(
    "upstream",
    ["127.0.0.1:80", "localhost:65535", "[::1]:1", "a-b.c_d:80", "unix:/run/a.sock"],
)
def test_an_upstream_is_taken(upstream: str) -> None:
    assert upstream_problem(upstream) == ""


@pytest.mark.parametrize(
    ("upstream", "problem"),
    [
        ("", "must be host:port or unix:/path"),
        ("host", "must be host:port or unix:/path"),
        ("host:", "must be host:port or unix:/path, with a port from 1 to 65535"),
        ("host:0", "must be host:port or unix:/path, with a port from 1 to 65535"),
        ("host:٣", "must be host:port or unix:/path, with a port from 1 to 65535"),
        ("host:80/path", "must be host:port or unix:/path"),
        ("me@host:80", "must be host:port or unix:/path"),
        ("h2c://host:80", "must be host:port or unix:/path, without a scheme"),
        ("unix:", "must be unix:/path, with an absolute path"),
        ("unix:/run/a b.sock", "must be unix:/path, with an absolute path"),
        ("unix:/" + "x" * 107, "is longer than a socket's path may be, 107 bytes"),
    ],
)
def test_a_bad_upstream_is_told(upstream: str, problem: str) -> None:
    assert upstream_problem(upstream) == problem


def test_an_admin_address_is_an_origin_or_a_socket() -> None:
    assert admin_problem("http://localhost:2019") == ""
    assert admin_problem("http://localhost:2019/") == ""
    assert admin_problem("unix:/run/caddy.sock") == ""
    assert admin_problem("http://localhost/config/") != ""
    assert admin_problem("http://me:pw@localhost/") == "holds a user or password; leave them out"
