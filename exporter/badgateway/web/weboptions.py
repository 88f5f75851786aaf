"""What a web configuration file can ask for, in the words of Prometheus' exporter-toolkit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

CIPHERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "TLS_AES_128_GCM_SHA256": "",
        "TLS_AES_256_GCM_SHA384": "",
        "TLS_CHACHA20_POLY1305_SHA256": "",
        "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
        "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
        "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
        "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    }
)
"""Go's name (crypto/tls, CipherSuites) → OpenSSL's; empty for suites of TLS 1.3, which neither Go
nor we let anybody choose from."""

VERSIONS: Final = ("TLS10", "TLS11", "TLS12", "TLS13")

CURVES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "CurveP256": "prime256v1",
        "CurveP384": "secp384r1",
        "CurveP521": "secp521r1",
        "X25519": "X25519",
    }
)
"""The toolkit's name → OpenSSL's."""

VERIFYING: Final = ("VerifyClientCertIfGiven", "RequireAndVerifyClientCert")
CLIENT_AUTH: Final = (
    "NoClientCert", "RequestClientCert", "RequireAnyClientCert", "RequireClientCert", *VERIFYING,
)  # fmt: skip

HEADERS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "Content-Security-Policy": (),
        "Strict-Transport-Security": (),
        "X-Content-Type-Options": ("nosniff",),
        "X-Frame-Options": ("deny", "sameorigin"),
        "X-XSS-Protection": (),
    }
)
"""Header that may be set → its allowed values; none listed: any."""


class WebConfigError(Exception):
    """The file cannot be used; one problem for each line of the text, each with its place."""


@dataclass(frozen=True, slots=True)
class Tls:
    """``tls_server_config``; names and meanings are the toolkit's, paths are absolute or relative
    to the working directory.

    Attributes:
        places: key → ``file:line:column: key``, for what can be told only when it is used.
    """

    cert: str = ""
    key: str = field(default="", repr=False)
    client_ca: str = ""
    cert_file: str = ""
    key_file: str = ""
    client_ca_file: str = ""
    client_auth_type: str = "NoClientCert"
    client_allowed_sans: tuple[str, ...] = ()
    min_version: str = "TLS12"
    max_version: str = "TLS13"
    cipher_suites: tuple[str, ...] = ()
    prefer_server_cipher_suites: bool = True
    curve_preferences: tuple[str, ...] = ()
    places: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    @property
    def files(self) -> tuple[Path, ...]:
        """The files it names."""
        return tuple(Path(p) for p in (self.cert_file, self.key_file, self.client_ca_file) if p)


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A token bucket: one request per ``interval`` seconds, and ``burst`` at once."""

    interval: float
    burst: int


@dataclass(frozen=True, slots=True)
class WebConfig:
    """The whole file.

    Attributes:
        tls: None serves plain HTTP.
        http2: accepted for the format's sake; HTTP/1.1 is what is served.
        headers: set on every response.
        users: name → bcrypt hash; empty lets everybody in.
        rate_limit: None when there is none.
    """

    tls: Tls | None = None
    http2: bool = True
    headers: Mapping[str, str] = field(default_factory=dict)
    users: Mapping[str, str] = field(default_factory=dict, repr=False)
    rate_limit: RateLimit | None = None

    @property
    def summary(self) -> str:
        """What it asks for, in some words."""
        users = len(self.users)
        return ", ".join(
            (
                f"TLS {self.tls.min_version[3]}.{self.tls.min_version[4]} and later"
                if self.tls
                else "no TLS",
                f"{users} {'user' if users == 1 else 'users'}" if users else "no users",
                *(("client certificates",) if self.tls and _asks(self.tls) else ()),
                *(("rate limit",) if self.rate_limit else ()),
            )
        )


def _asks(tls: Tls) -> bool:
    return tls.client_auth_type not in ("NoClientCert", "RequestClientCert")
