"""Bad files: each says all that is wrong with it, with place and remedy, word for word.

Beside each ``bad/*.yml`` a ``.txt`` holds the whole message.
"""

from __future__ import annotations

import os
import time
import tracemalloc
from pathlib import Path

import pytest

from badgateway import config

HERE = Path(__file__).parent
BAD = sorted((HERE / "bad").glob("*.yml"))


def refusal(path: Path) -> str:
    with pytest.raises(config.ConfigError) as error:
        config.load(path)
    return str(error.value).replace(str(path), path.name)


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_bad_file_says_all_that_is_wrong(path: Path) -> None:
    assert refusal(path) == path.with_suffix(".txt").read_text().rstrip("\n")


def test_there_are_many_bad_files() -> None:
    assert len(BAD) >= 30
    assert {path.stem for path in BAD} == {p.stem for p in (HERE / "bad").glob("*.txt")}


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_problems_are_told_in_the_order_of_the_file(path: Path) -> None:
    with pytest.raises(config.ConfigError) as error:
        config.load(path)
    places = [(p.place.line, p.place.column) for p in error.value.problems]
    assert places
    assert places == sorted(places)


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_no_secret_is_told(path: Path) -> None:
    for secret in ("hunter2", "4711"):
        assert secret not in refusal(path).replace(path.stem, "")


def test_a_bomb_of_aliases_costs_little() -> None:
    begun = time.process_time()
    tracemalloc.start()
    refusal(HERE / "bad" / "aliases-bomb.yml")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4_000_000
    assert time.process_time() - begun < 2


def test_a_bomb_of_merges_costs_little() -> None:
    levels = ["a0: &a0 {k: v}"]
    for level in range(1, 40):
        same = ", ".join([f"*a{level - 1}"] * 10)
        levels.append(f"a{level}: &a{level} {{<<: [{same}]}}")
    with pytest.raises(config.ConfigError, match="more than 50000 values"):
        config.parse("\n".join(levels))


def test_of_very_many_problems_the_first_are_told() -> None:
    with pytest.raises(config.ConfigError) as error:
        config.parse("\n".join(f"key{number}: 1" for number in range(1000)), "c.yml")
    lines = str(error.value).splitlines()
    assert len(lines) == 101
    assert lines[-1] == "c.yml: more problems follow; the first 100 are told"


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert refusal(tmp_path / "c.yml") == "c.yml: No such file or directory"


def test_a_path_that_is_none_is_told() -> None:
    with pytest.raises(config.ConfigError, match=r"^'c\\x00\.yml': is no path$"):
        config.load(Path("c\0.yml"))


def test_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "c.yml").mkdir()
    assert refusal(tmp_path / "c.yml") == "c.yml: Is a directory"


def test_a_pipe_nobody_writes_to_is_told_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "c.yml")
    assert refusal(tmp_path / "c.yml") == "c.yml: Not a regular file"


def test_an_endless_device_is_told() -> None:
    assert refusal(Path("/dev/zero")) == "zero: Not a regular file"


def test_a_loop_of_links_is_told(tmp_path: Path) -> None:
    (tmp_path / "c.yml").symlink_to("c.yml")
    assert refusal(tmp_path / "c.yml") == "c.yml: Too many levels of symbolic links"


def test_a_file_that_may_not_be_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / "c.yml"
    path.write_text("")
    path.chmod(0)
    if os.getuid() == 0:  # who reads everything: be somebody else for a moment
        os.seteuid(65534)
    try:
        with pytest.raises(config.ConfigError) as error:
            config.load(path)
    finally:
        if os.getuid() == 0:
            os.seteuid(0)
    assert "Permission denied; the exporter runs with the user id" in str(error.value)


def test_a_large_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "c.yml").write_text("#" * (1024 * 1024 + 1))
    assert refusal(tmp_path / "c.yml") == "c.yml: is larger than 1 MiB"
