"""`sonomyo backup` and `restore` as a person types them, with no service running: the embedded database serves for a moment."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Engine

from service.adapters.backup import backup
from service.adapters.backup_archive import verify_archive
from service.adapters.instance_store import FileInstanceStore
from service.ports import UnitOfWorkFactory
from tests.integration.stored_studies import store_instance
from tests.running import ROOT


def sonomyo(data_dir: Path, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    settings = {name: value for name, value in os.environ.items() if not name.startswith("SONOMYO_")}
    return subprocess.run(
        [sys.executable, "-m", "service", *map(str, arguments)],
        cwd=ROOT,
        env={**settings, "SONOMYO_DATA_DIR": str(data_dir)},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


@pytest.mark.timeout(300)
def test_archive_of_one_machine_is_restored_on_another_without_a_service(
    units: UnitOfWorkFactory, engine: Engine, database_url: str, tmp_path: Path
) -> None:
    here, there = FileInstanceStore(root=tmp_path / "here" / "store"), tmp_path / "there"
    for number in (1, 2):
        store_instance(units, here, f"1.2.3.{number}", study="1.2.3")
    engine.dispose()
    first, second = tmp_path / "first.tar", tmp_path / "second.tar"
    backup(first, database_url=database_url, store=here)

    restored = sonomyo(there, "restore", first)
    assert restored.returncode == 0, restored.stderr
    assert "Restored 2 instances" in restored.stdout
    taken = sonomyo(there, "backup", second)
    assert taken.returncode == 0, taken.stderr
    assert verify_archive(second, lambda _: None).instances == 2
    again = sonomyo(there, "restore", first)
    assert again.returncode == 1
    assert "--force" in again.stderr


def test_backup_of_an_empty_folder_makes_nothing(tmp_path: Path) -> None:
    done = sonomyo(tmp_path / "nothing", "backup", tmp_path / "a.tar")
    assert done.returncode == 1
    assert "holds no database" in done.stderr
    assert not (tmp_path / "nothing" / "postgres" / "data").exists()
    assert not (tmp_path / "a.tar").exists()
