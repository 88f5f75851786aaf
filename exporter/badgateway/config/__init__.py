"""The configuration file: strict YAML, every key typed and documented, nothing needed to start.

``load`` reads a file into ``Config``. Whatever is wrong comes as one ``ConfigError`` that tells
every problem, each with file, line, column, key and what is allowed. Secrets are kept in files or
in ``Secret``, and never shown.
"""

from badgateway.config.probeschema import Authorization, BasicAuth, Expect, Probe
from badgateway.config.problems import ConfigError, Place, Problem
from badgateway.config.reading import load, parse
from badgateway.config.schema import Backend, Config, Discovery, Log, Probes, Proxy, ProxyLog
from badgateway.config.values import Duration, Secret, SecretFile, seconds

__all__ = [
    "Authorization",
    "Backend",
    "BasicAuth",
    "Config",
    "ConfigError",
    "Discovery",
    "Duration",
    "Expect",
    "Log",
    "Place",
    "Probe",
    "Probes",
    "Problem",
    "Proxy",
    "ProxyLog",
    "Secret",
    "SecretFile",
    "load",
    "parse",
    "seconds",
]
