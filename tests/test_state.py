"""The checkpoint file: atomic, locked, and never trusted blindly."""

import json
from pathlib import Path

import pytest

from badgateway import state
from badgateway.counters import Counters


def make() -> state.Document:
    counters = Counters()
    counters.add("source_gaps_total", ("journal",), 3)
    return state.document(
        counters.snapshot(), {"journal": {"cursor": "s=1", "at": 2.5}}, {"tokens": ["a"]}
    )


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    checkpoint = state.Checkpoint(tmp_path)
    checkpoint.save(make())
    loaded = checkpoint.load()
    assert loaded is not None
    snapshot = loaded.snapshot()
    assert snapshot.series == {"source_gaps_total": {("journal",): 3.0}}
    assert snapshot.newborn == {("source_gaps_total", ("journal",))}
    assert loaded.positions == {"journal": {"cursor": "s=1", "at": 2.5}}
    assert loaded.memory == {"tokens": ["a"]}


def test_a_first_start_has_no_checkpoint_and_no_problem(tmp_path: Path) -> None:
    checkpoint = state.Checkpoint(tmp_path / "new")
    assert checkpoint.load() is None
    assert checkpoint.problem == ""


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda raw: raw[: len(raw) // 2], "damaged"),
        (lambda raw: raw.replace(b"journal", b"jOurnal"), "damaged"),
        (lambda raw: b"", "not a checkpoint"),
        (lambda raw: b"\x00" * 100, "not a checkpoint"),
        (lambda raw: raw.replace(b'"version":1', b'"version":9'), "version is 9"),
        (lambda raw: raw.replace(b"badgateway-checkpoint", b"something-else"), "not a checkpoint"),
    ],
)
def test_an_unusable_checkpoint_is_moved_aside_and_told(tmp_path, spoil, words) -> None:  # type: ignore[no-untyped-def]
    checkpoint = state.Checkpoint(tmp_path)
    checkpoint.save(make())
    checkpoint.path.write_bytes(spoil(checkpoint.path.read_bytes()))
    assert checkpoint.load() is None
    assert words in checkpoint.problem
    (aside,) = tmp_path.glob("*.unusable")
    assert aside.name in checkpoint.problem
    assert not checkpoint.path.exists()


def test_a_checkpoint_of_another_host_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = state.Checkpoint(tmp_path)
    checkpoint.save(make())
    monkeypatch.setattr(state, "host_identity", lambda: "elsewhere")
    assert checkpoint.load() is None
    assert "another host" in checkpoint.problem


def test_a_second_exporter_is_refused(tmp_path: Path) -> None:
    first = state.Checkpoint(tmp_path)
    with pytest.raises(state.LockedError, match=r"another badgateway .* --storage\.path"):
        state.Checkpoint(tmp_path)
    first.close()
    state.Checkpoint(tmp_path).close()


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(state.StateError, match=r"cannot write .* --storage\.path"):
        state.Checkpoint(tmp_path / "file" / "state")


def test_a_failed_save_leaves_the_old_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = state.Checkpoint(tmp_path)
    checkpoint.save(make())

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.save(state.Document())
    loaded = checkpoint.load()
    assert loaded is not None
    assert loaded.positions


def test_the_header_says_what_the_file_is() -> None:
    header = json.loads(state.encode(make()).partition(b"\n")[0])
    assert header["format"] == "badgateway-checkpoint"
    assert header["version"] == state.VERSION
