"""Types that keys of the configuration share."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Struct

NAME: Final = r"^[A-Za-z0-9_][A-Za-z0-9_.@:-]{0,63}\Z"
BACKEND: Final = r"^[A-Za-z0-9_][A-Za-z0-9_.@:-]{0,63}(/[A-Za-z0-9_.@:-]{1,63})?\Z"
UNIT: Final = (
    r"^[A-Za-z0-9:_.\\-]{1,200}(@[A-Za-z0-9:_.\\-]{0,200})?"
    r"\.(service|socket|target|scope|slice|timer|path|mount|device|swap|automount)\Z"
)
ABSOLUTE: Final = r"^/[^\x00]*\Z"
URL_PATH: Final = r"^/[^\s\x00-\x1f]*\Z"

DOCKER_HOST: Final = r"^(unix:///[^\s\x00]+|(tcp|http|https)://[^\s/@?#]+/?)\Z"
CONTAINER: Final = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,199}(/[A-Za-z0-9][A-Za-z0-9_.-]{0,199})?\Z"

WORD: Final = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z"

WORDS: Final = {
    NAME: "must be 1 to 64 letters, digits and _ . @ : -, and begin with a letter, a digit or _",
    BACKEND: "must be 1 to 64 letters, digits and _ . @ : -, and begin with a letter, a digit or "
    "_; or two such names with a / between",
    UNIT: "must be a systemd unit with its suffix, such as api.service",
    ABSOLUTE: "must be an absolute path; ~ and variables are not expanded",
    WORD: "must be one word",
    DOCKER_HOST: "must be unix:///path, tcp://host:port or https://host:port, without credentials",
    CONTAINER: "must be a container's name, or project/service as Compose names them",
    URL_PATH: "must begin with / and hold no space",
}
"""Pattern → what it asks for, in words."""

Name = Annotated[str, Meta(pattern=NAME)]
BackendName = Annotated[str, Meta(pattern=BACKEND)]
Unit = Annotated[str, Meta(pattern=UNIT)]
Absolute = Annotated[str, Meta(pattern=ABSOLUTE)]
DockerHost = Annotated[str, Meta(pattern=DOCKER_HOST)]
ContainerName = Annotated[str, Meta(pattern=CONTAINER)]
Status = Annotated[int, Meta(ge=100, le=599)]


class Base(Struct, frozen=True, forbid_unknown_fields=True):
    """Keys of one mapping; unknown ones are refused."""
