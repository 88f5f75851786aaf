"""The version of a CPython interpreter, read from its binary."""

from __future__ import annotations

import os
import stat
import struct
from typing import BinaryIO, Final

from badgateway.packages import files

SECTIONS_LIMIT: Final = 512
TABLE_LIMIT: Final = 16 << 20
_DYNAMIC_SYMBOLS: Final = 11
_PROGRAM_DATA: Final = 1
_LEVELS: Final = {0xA: "a", 0xB: "b", 0xC: "rc", 0xF: ""}


def python_version(path: str) -> str | None:
    """Return the exact version (``3.11.2``, ``3.14.0rc1``) of an interpreter or libpython.

    CPython exports it as the constant ``Py_Version`` since 3.11; anything older, another
    implementation, or a binary that only links to libpython gives None, as does any broken file.
    """
    try:
        with open(path, "rb", opener=_regular) as stream:
            return _version(stream)
    except (OSError, struct.error, IndexError, ValueError, OverflowError):
        return None


def _regular(path: str, flags: int) -> int:
    handle = files.descriptor(path, flags)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError("not a regular file")
    return handle


def _version(stream: BinaryIO) -> str | None:
    header = stream.read(64)
    if header[:4] != b"\x7fELF" or header[4] != 2:
        return None  # not ELF, or 32 bits
    order = "<" if header[5] == 1 else ">"
    (table,) = struct.unpack_from(order + "Q", header, 0x28)
    size, count = struct.unpack_from(order + "HH", header, 0x3A)
    if count > SECTIONS_LIMIT:
        return None
    stream.seek(table)
    raw = stream.read(size * count)
    # Each: name, type, flags, address, offset, size, link, info, alignment, entry size.
    sections = [struct.unpack_from(order + "IIQQQQIIQQ", raw, n * size) for n in range(count)]
    for section in sections:
        if section[1] != _DYNAMIC_SYMBOLS or section[5] > TABLE_LIMIT or section[9] < 24:
            continue
        names = sections[section[6]]
        if names[5] > TABLE_LIMIT:
            return None
        stream.seek(names[4])
        wanted = stream.read(names[5]).find(b"\0Py_Version\0") + 1
        if not wanted:
            return None
        stream.seek(section[4])
        symbols = stream.read(section[5])
        for offset in range(0, len(symbols) - 23, section[9]):
            name, _, _, index, address, _ = struct.unpack_from(order + "IBBHQQ", symbols, offset)
            if name == wanted:
                return _constant(stream, order, sections, address) if index else None
    return None


def _constant(
    stream: BinaryIO, order: str, sections: list[tuple[int, ...]], address: int
) -> str | None:
    for _, kind, _, start, offset, size, *_ in sections:
        if kind == _PROGRAM_DATA and start <= address < start + size:
            stream.seek(offset + address - start)
            (value,) = struct.unpack(order + "I", stream.read(4))
            level = _LEVELS.get(value >> 4 & 0xF)
            if level is None:
                return None
            suffix = f"{level}{value & 0xF}" if level else ""
            return f"{value >> 24}.{value >> 16 & 255}.{value >> 8 & 255}{suffix}"
    return None
