"""``tls_server_config`` as an ``ssl.SSLContext``.

What Python's ``ssl`` cannot do of the format: it cannot accept a client certificate without
verifying it. ``RequestClientCert``, which lets a client in with any certificate or none, is
served without asking for one: the same clients get in. ``RequireAnyClientCert`` (and its old name
``RequireClientCert``) is refused instead of being served with less or more than it says. Of
``curve_preferences`` it can set one at a time: one, or all, of the toolkit's names are accepted
as they are, of several one is chosen for each client (``curve_for``).
"""

from __future__ import annotations

import ipaddress
import os
import ssl
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from badgateway import regularfile
from badgateway.web.weboptions import CIPHERS, CURVES, Tls, WebConfigError

_VERSIONS: Final = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}
_DEFAULT_CIPHERS: Final = ":".join(name for name in CIPHERS.values() if name)
"""As in Go: every one that keeps forward secrecy."""
_OLD: Final = ":@SECLEVEL=0"
"""OpenSSL 3 speaks TLS 1.0 and 1.1 at no higher level."""
_MFD_NOEXEC_SEAL: Final = 0x8
_SIZE_LIMIT: Final = 1024 * 1024

GROUPS: Final[Mapping[str, int]] = {
    "CurveP256": 23, "CurveP384": 24, "CurveP521": 25, "X25519": 29,
}  # fmt: skip
"""Curve → its number on the wire (RFC 8446, 4.2.7)."""


def context(tls: Tls, curve: str = "") -> ssl.SSLContext:
    """Return what a handshake is made with.

    Args:
        tls: what is asked for.
        curve: the one of ``curve_preferences`` to use; without it the first.

    Raises:
        WebConfigError: a file cannot be read or used; with the place that names it.
    """
    if tls.client_auth_type in ("RequireAnyClientCert", "RequireClientCert"):
        raise _error(
            tls, "client_auth_type",
            f"{tls.client_auth_type} lets in everybody who makes a certificate, and is not "
            "supported; use RequireAndVerifyClientCert, with the clients' certificates as "
            "client CA",
        )  # fmt: skip
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    low, high = tls.min_version, tls.max_version
    suites = [CIPHERS[suite] for suite in tls.cipher_suites]
    if suites and not any(suites):
        low = "TLS13"  # nothing is left to speak TLS 1.2 with
    old = low in ("TLS10", "TLS11")
    made.set_ciphers((":".join(filter(None, suites)) or _DEFAULT_CIPHERS) + (_OLD if old else ""))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # who asks for TLS 1.0 knows
        made.minimum_version, made.maximum_version = _VERSIONS[low], _VERSIONS[high]
    made.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    # Every handshake is a whole one, by the files as they are now.
    made.options |= ssl.OP_NO_TICKET
    made.num_tickets = 0
    if tls.prefer_server_cipher_suites:
        made.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    else:
        made.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    if set(tls.curve_preferences) != set(CURVES) and tls.curve_preferences:
        made.set_ecdh_curve(CURVES[curve or tls.curve_preferences[0]])
    made.set_alpn_protocols(["http/1.1"])
    _load_certificate(made, tls)
    _load_authorities(made, tls)
    return made


def allowed_client(tls: Tls, certificate: Mapping[str, Any] | None) -> bool:
    """Whether a client with this verified certificate (as ``getpeercert`` gives it) may connect."""
    if not tls.client_allowed_sans or not certificate:
        return True  # that there must be one is decided by the handshake
    names = set()
    for kind, value in certificate.get("subjectAltName", ()):
        if kind == "IP Address":
            try:
                value = str(ipaddress.ip_address(value.strip()))
            except ValueError:
                continue
        if kind in ("DNS", "email", "IP Address", "URI"):
            names.add(value)
    return not names.isdisjoint(tls.client_allowed_sans)


def _load_certificate(made: ssl.SSLContext, tls: Tls) -> None:
    certificate = _content(tls, "cert")
    key = _content(tls, "key")
    which = "key_file" if tls.key_file else "key"
    if b"PRIVATE KEY-----" not in key:
        raise _error(tls, which, "holds no private key in PEM form")
    if b"-----BEGIN CERTIFICATE-----" not in certificate:
        raise _error(
            tls, "cert_file" if tls.cert_file else "cert", "holds no certificate in PEM form"
        )
    # OpenSSL reads files only; what was read is handed over without touching a disk.
    with _in_memory(certificate) as certificate_path, _in_memory(key) as key_path:
        try:
            made.load_cert_chain(certificate_path.path, key_path.path, password=_no_password)
        except _EncryptedError:
            raise _error(tls, which, "the private key is encrypted; write it without") from None
        except (ssl.SSLError, OSError) as error:
            reason = getattr(error, "reason", None) or "cannot be used"
            words = {"KEY_VALUES_MISMATCH": "key and certificate do not belong together"}
            raise _error(tls, which, words.get(reason, reason.lower().replace("_", " "))) from None


class _EncryptedError(Exception):
    pass


def _no_password() -> str:
    raise _EncryptedError


class _in_memory:  # noqa: N801 (used as a function)
    """A file that exists in memory only, while the context is entered."""

    def __init__(self, content: bytes) -> None:
        try:
            self._descriptor = os.memfd_create("badgateway", os.MFD_CLOEXEC | _MFD_NOEXEC_SEAL)
        except OSError:  # before Linux 6.3, which may come to demand the flag
            self._descriptor = os.memfd_create("badgateway", os.MFD_CLOEXEC)
        self.path = f"/proc/self/fd/{self._descriptor}"
        with os.fdopen(os.dup(self._descriptor), "wb") as file:
            file.write(content)

    def __enter__(self) -> _in_memory:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


def _load_authorities(made: ssl.SSLContext, tls: Tls) -> None:
    made.verify_mode = {
        "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
        "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
    }.get(tls.client_auth_type, ssl.CERT_NONE)
    if not tls.client_ca and not tls.client_ca_file:
        if made.verify_mode != ssl.CERT_NONE:
            made.load_default_certs(ssl.Purpose.CLIENT_AUTH)
        return
    which = "client_ca_file" if tls.client_ca_file else "client_ca"
    try:
        made.load_verify_locations(cadata=_content(tls, "client_ca").decode("ascii"))
    except (ssl.SSLError, ValueError):
        raise _error(tls, which, "holds no certificate that can be used") from None
    # A certificate that is trusted by itself need not be an authority's.
    made.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN


def _content(tls: Tls, name: str) -> bytes:
    path: str = getattr(tls, f"{name}_file")
    if not path:
        inline: str = getattr(tls, name)
        return inline.encode()
    try:
        return regularfile.read(Path(path), _SIZE_LIMIT, devices=True)[0]
    except OSError as error:
        raise _error(tls, f"{name}_file", f"{path}: {error.strerror}") from None


def _error(tls: Tls, key: str, what: str) -> WebConfigError:
    return WebConfigError(f"{tls.places.get(key, f'tls_server_config.{key}')}: {what}")
