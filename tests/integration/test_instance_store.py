"""Files under server-made names: durable, idempotent, and swept of what a killed process left."""

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from service.adapters.incoming import IncomingFolder
from service.adapters.instance_store import FileInstanceStore, read_instance, storage_key
from service.core.instance import ContentDigest
from service.core.part10 import encode_head, parse_head
from service.errors import InputRejected, NotFound, Unavailable
from tests.integration.listener_parts import EXPLICIT, INSTANCE, US, encode, ultrasound

DIGEST = ContentDigest(attributes="a" * 64, pixels="b" * 64)
HEAD = encode_head(sop_class_uid=US, sop_instance_uid=INSTANCE, transfer_syntax_uid=EXPLICIT)


@pytest.fixture
def store(tmp_path: Path) -> FileInstanceStore:
    return FileInstanceStore(root=tmp_path / "store")


def adopt(store: FileInstanceStore, content: bytes, digest: ContentDigest = DIGEST) -> str:
    with store.incoming.create() as file:
        file.write(content)
        return store.adopt(file.path, digest)


def test_adopted_file_is_found_under_its_key(store: FileInstanceStore) -> None:
    key = adopt(store, HEAD + b"content")
    assert store.path(key).read_bytes() == HEAD + b"content"
    assert key == storage_key(DIGEST)
    assert list(store.keys()) == [key]
    assert not list(store.incoming.folder.iterdir())


def test_same_content_twice_is_one_file_and_mends_a_damaged_one(store: FileInstanceStore) -> None:
    key = adopt(store, HEAD + b"content")
    store.path(key).write_bytes(b"rotten")
    assert adopt(store, HEAD + b"content") == key
    assert store.path(key).read_bytes() == HEAD + b"content"
    assert list(store.keys()) == [key]


def test_preamble_that_is_a_program_is_zeroed(store: FileInstanceStore) -> None:
    for program in (b"\x7fELF", b"MZ\x90\0"):
        key = adopt(store, program + bytes(124) + HEAD[128:])
        assert store.path(key).read_bytes() == HEAD


def test_file_and_folder_are_synced_in_order(store: FileInstanceStore, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    real_sync, real_rename = os.fsync, Path.rename

    def sync(descriptor: int) -> None:
        order.append("folder" if Path(f"/proc/self/fd/{descriptor}").is_dir() else "file")
        real_sync(descriptor)

    def rename(self: Path, target: Path) -> Path:
        order.append("rename")
        return real_rename(self, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "rename", rename)
    adopt(store, HEAD)
    assert order == ["file", "rename", "folder"]


def test_delete_removes_and_may_be_repeated(store: FileInstanceStore) -> None:
    key = adopt(store, HEAD)
    store.delete(key)
    store.delete(key)
    assert list(store.keys()) == []
    with pytest.raises(NotFound):
        store.path(key)


@pytest.mark.parametrize(
    "key", ["", "../../etc/passwd", "ab/x.dcm", "/etc/passwd", "ab/" + "c" * 64 + ".dcm/..", "ab/" + "c" * 64]
)
def test_key_that_we_did_not_make_is_refused(store: FileInstanceStore, key: str) -> None:
    with pytest.raises(NotFound):
        store.path(key)
    with pytest.raises(NotFound):
        store.delete(key)


def test_store_that_cannot_write_is_unavailable(store: FileInstanceStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(5, "EIO")

    with store.incoming.create() as file:
        file.write(HEAD)
        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(Unavailable, match="cannot keep"):
            store.adopt(file.path, DIGEST)
    assert not list(store.incoming.folder.iterdir())
    assert not list(store.keys())


def test_store_opened_again_holds_what_it_held(store: FileInstanceStore) -> None:
    key = adopt(store, HEAD)
    assert list(FileInstanceStore(root=store.root).keys()) == [key]


def test_strange_file_in_the_store_is_no_key(store: FileInstanceStore) -> None:
    key = adopt(store, HEAD)
    (store.path(key).parent / "notes.txt").write_text("x")
    assert list(store.keys()) == [key]


def test_sweep_removes_leftovers_of_a_killed_process_and_spares_the_living(tmp_path: Path) -> None:
    folder = IncomingFolder(tmp_path / "incoming")
    script = (
        "import sys, time; from pathlib import Path; from service.adapters.incoming import IncomingFolder\n"
        "with IncomingFolder(Path(sys.argv[1])).create() as file:\n"
        "    file.write(b'half'); print(file.path.name, flush=True); time.sleep(60)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", script, str(folder.folder)], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        name = child.stdout.readline().strip()
        with folder.create() as own:
            assert folder.sweep() == 0
            child.send_signal(signal.SIGKILL)
            child.wait()
            assert folder.sweep() == 1
            assert [path.name for path in folder.folder.iterdir()] == [own.path.name]
            assert name != own.path.name
    finally:
        child.kill()
        child.wait()
        child.stdout.close() if child.stdout else None


def test_file_swept_between_making_and_locking_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = IncomingFolder(tmp_path / "incoming")
    real = fcntl.flock
    stolen: list[Path] = []

    def lock(descriptor: int, operation: int) -> None:
        if not stolen:
            stolen.extend(folder.folder.iterdir())
            stolen[0].unlink()
        real(descriptor, operation)

    monkeypatch.setattr("service.adapters.incoming.fcntl.flock", lock)
    with folder.create() as file:
        assert file.path.exists()
        assert file.path != stolen[0]


def test_instance_is_read_back_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(HEAD + encode(ultrasound()))
    attributes, digest = read_instance(path)
    assert attributes.identity.patient_id == "0815"
    assert len(digest.pixels) == 64


@pytest.mark.parametrize("content", [b"", b"x" * 200, HEAD[:140], bytes(128) + b"DICM", bytes(128) + b"DICM" + b"\2\0\1\0OB"])
def test_file_that_is_no_dicom_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(content)
    with pytest.raises(InputRejected) as refused:
        read_instance(path)
    assert refused.value.reason in {"not_a_dicom_file", "empty_data_set"}


def test_file_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read_instance(tmp_path / "none.dcm")


def test_head_is_read_back() -> None:
    assert parse_head(HEAD + b"rest") == (EXPLICIT, len(HEAD))
