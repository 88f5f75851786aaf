"""The keys of a configured probe; see ``schema`` for how they are written."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from badgateway.config.keytypes import WORD, Base, Name, Status
from badgateway.config.values import Secret, SecretFile


class Expect(Base, frozen=True):
    """What a probe's answer must be."""

    status: Annotated[
        tuple[Status, ...],
        Meta(
            description="Statuses that are right. Without it everything but 502, 503 and 504 is.",
            examples=[[200, 204]],
        ),
    ] = ()
    body: Annotated[
        str | None,
        Meta(
            description="Text that the first 64 KiB of the body must hold.",
            examples=["status: ok"],
        ),
    ] = None


class BasicAuth(Base, frozen=True):
    """User and password sent along (HTTP basic authentication): `password` or `password_file`."""

    username: Annotated[
        str,
        Meta(
            description="User name; it holds no colon.",
            examples=["monitor"],
        ),
    ]
    password: Annotated[
        Secret | None,
        Meta(
            description="Password. Never shown again; better kept in a file.",
            examples=["correct horse"],
            extra={"instead_of": "password_file"},
        ),
    ] = None
    password_file: Annotated[
        SecretFile | None,
        Meta(
            description="File that holds the password. Read anew at each use; line ends at its "
            "end are left out. A relative path begins at the configuration file's directory.",
            examples=["secrets/archive.password"],
        ),
    ] = None


class Authorization(Base, frozen=True):
    """An `Authorization` header sent along: `credentials` or `credentials_file`."""

    type: Annotated[
        str,
        Meta(
            pattern=WORD,
            description="Scheme; basic authentication has its own key, `basic_auth`.",
            examples=["Token"],
        ),
    ] = "Bearer"
    credentials: Annotated[
        Secret | None,
        Meta(
            description="What follows the scheme. Never shown again; better kept in a file.",
            examples=["eyJhbGciOi"],
            extra={"instead_of": "credentials_file"},
        ),
    ] = None
    credentials_file: Annotated[
        SecretFile | None,
        Meta(
            description="File that holds the credentials. Read and found as `password_file` is.",
            examples=["/etc/badgateway/archive.token"],
        ),
    ] = None


class Probe(Base, frozen=True):
    """A URL to ask regularly, beside those that are asked by default."""

    name: Annotated[
        Name, Meta(description="The `probe` label, unlike any other of its backend.",
                   examples=["public"])
    ]  # fmt: skip
    url: Annotated[
        str,
        Meta(
            description="What to ask for, `http://` or `https://`. It holds no user and password; "
            "see `basic_auth`.",
            examples=["https://archive.example/health"],
        ),
    ]
    vantage: Annotated[
        Literal["edge", "proxy", "origin"],
        Meta(
            description="From where it looks: `edge` is the public URL, `proxy` the proxy on this "
            "host, `origin` the application itself. A vantage that is given has no default probe.",
            examples=["edge"],
        ),
    ] = "edge"
    expect: Annotated[Expect, Meta(description="What the answer must be.")] = Expect()
    headers: Annotated[
        dict[str, Secret],
        Meta(
            description="Request headers to send along. Their values are never shown again.",
            examples=[{"X-Check": "badgateway"}],
        ),
    ] = msgspec.field(default_factory=dict)
    headers_file: Annotated[
        dict[str, SecretFile],
        Meta(
            description="Request headers whose values are kept in files, which are read and found "
            "as `password_file` is.",
            examples=[{"X-Api-Key": "secrets/archive.key"}],
        ),
    ] = msgspec.field(default_factory=dict)
    basic_auth: Annotated[
        BasicAuth | None, Meta(description="User and password to send along.")
    ] = None
    authorization: Annotated[
        Authorization | None,
        Meta(
            description="`Authorization` header to send along.",
            extra={"instead_of": "basic_auth"},
        ),
    ] = None
    verify: Annotated[
        bool, Meta(description="Whether the certificate must be valid.", examples=[False])
    ] = True
