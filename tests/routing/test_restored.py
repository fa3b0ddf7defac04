"""An older database of routing beside a newer log: the desk decides the same requests again, and comes to the same."""

import shutil
import sqlite3
from collections import defaultdict
from contextlib import closing
from pathlib import Path

import pytest

from events.published import Profile
from events.topics import ASSIGNMENT
from tests.routing.harness import Routing
from tests.routing.words import record_changed, status_changed

GERMAN = Profile(country="DE")


@pytest.fixture
def routing(tmp_path: Path) -> Routing:
    return Routing(tmp_path)


def test_what_was_decided_since_the_backup_is_decided_alike(routing: Routing, tmp_path: Path) -> None:
    """Though rules and directory are other ones now, and those of then were in force only after the backup."""
    for number in range(5):
        routing.says(status_changed(f"a{number}", 1, profile=GERMAN))
    routing.settle()
    copy = tmp_path / "copy.sqlite"
    with closing(sqlite3.connect(tmp_path / "routing.sqlite")) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    for turn in range(3):
        for number in range(5):
            routing.says(status_changed(f"b{turn}{number}", 1, profile=GERMAN))
        routing.says(record_changed(f"a{turn}", 2, owner="carol", changed=("owner",)))
        routing.settle()
        routing.publish_directory(*(("anna", "ben", "carol"), ("ben", "carol"), ("anna", "carol"))[turn], version=2 + turn)
        routing.reference.refresh()
    log = routing.log()
    routing.close()
    for suffix in ("", "-wal", "-shm"):
        (tmp_path / f"routing.sqlite{suffix}").unlink(missing_ok=True)
    shutil.copyfile(copy, tmp_path / "routing.sqlite")
    routing.stores.clear()
    routing.crash()
    routing.reference.refresh()
    routing.settle()
    assert routing.log() == log
    said = defaultdict(set)
    for record in routing.bus.records(ASSIGNMENT.name):
        said[dict(record.headers)["ce_id"]].add((record.value, record.headers))
    assert len(said) >= 20
    assert all(len(contents) == 1 for contents in said.values()), "what is published again is the same, byte for byte"
    assert not routing.letters()
    # And it goes on.
    routing.says(status_changed("c", 1, profile=GERMAN))
    routing.settle()
    assert len(routing.said("c")) == 1
    routing.close()
