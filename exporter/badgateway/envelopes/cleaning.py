"""Undoing what terminals, editors and wikis do to the characters of a line."""

from __future__ import annotations

import html
import re
from typing import Final

_ANSI: Final = re.compile(
    r"(?:\x1b|\x9b|␛|←|\^\[|#033|\\x1b)"
    r"(?:\[[0-9;?]{0,20}[A-Za-z]|\][^\x07\x1b]{0,200}(?:\x07|\x1b\\))|[\x1b\x9b]"
)
_ANSI_BARE: Final = re.compile(r"\[(?:[0-9]{1,3}(?:;[0-9]{1,3}){0,4})?m")
_ALL_ESCAPED: Final = re.compile(r'[^"\\]*+(?:\\.[^"\\]*+)*+', re.S)
_SPACES: Final = str.maketrans(
    {"\u00a0": " ", "\u202f": " ", "\u2007": " ", "\u200b": None, "\u2060": None, "\ufeff": None,
     "\x00": None, "\r": None}
)  # fmt: skip
_QUOTES: Final = str.maketrans(dict.fromkeys("“”„‟«»", '"'))
_SINGLE: Final = str.maketrans(dict.fromkeys("‘’‚", "'"))
_SUSPECT: Final = re.compile(
    "[\\x00\\r\\x1b\\x9b\\u00a0\\u202f\\u2007\\u200b\\u2060\\ufeff␛←“”„‟«»‘’‚]"
    r"|\^\[|\[0?m|#033|&quot;|\\\"|\\x1b\["
)


def cleaned(text: str) -> str:
    """Return a line without colours, odd spaces, byte order marks, NULs and carriage returns.

    Typographic quotes become plain ones where the line has no plain ones: there they stand for
    the structure, not for what somebody wrote between them. A line without any of that comes back
    unchanged.
    """
    if not _SUSPECT.search(text):
        return text
    text = _ANSI.sub("", text)
    if "[0m" in text or "[m" in text:
        text = _ANSI_BARE.sub("", text)
    text = text.translate(_SPACES)
    if '\\"' in text and _ALL_ESCAPED.fullmatch(text):
        text = text.replace('\\"', '"')  # a value that was cut out of JSON
    if "&quot;" in text and '"' not in text:
        text = html.unescape(text)
    if '"' not in text:
        text = text.translate(_QUOTES)
    if "'" not in text:
        text = text.translate(_SINGLE)
    return text
