"""The cache of the broker's jars: complete without a network once filled, repaired from a repository when damaged."""

import hashlib
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from handoff.broker import KafkaUnavailable
from handoff.broker.jars import cache_dir, class_path
from handoff.broker.pins import ROOTS, pinned

pytestmark = pytest.mark.kafka

JAR = "slf4j-simple-1.7.36.jar"
IN_REPOSITORY = Path("org/slf4j/slf4j-simple/1.7.36") / JAR


class Repository(ThreadingHTTPServer):
    """A Maven repository on loopback that has one jar; remembers what it was asked for."""

    def __init__(self, directory: Path) -> None:
        super().__init__(("127.0.0.1", 0), partial(Quiet, directory=str(directory)))
        self.jar = directory / IN_REPOSITORY
        self.asked: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class Quiet(SimpleHTTPRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        assert isinstance(self.server, Repository)
        self.server.asked.append(self.path)

    def log_error(self, format: str, *args: object) -> None:
        """Say nothing: jgo asks for checksums that are not there."""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    """A good copy of one jar, and the only place that this test fetches from."""
    good = Path(class_path().split(os.pathsep)[0]).with_name(JAR)
    with Repository(tmp_path / "repository") as server:
        server.jar.parent.mkdir(parents=True)
        shutil.copy(good, server.jar)
        monkeypatch.setenv("HANDOFF_MAVEN_URL", server.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def jar(repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The jar of `repository` in a cache of the test's own, which is complete."""
    complete = cache_dir() / "jars"
    monkeypatch.setenv("HANDOFF_CACHE_DIR", str(tmp_path / "cache"))
    jars = cache_dir() / "jars"
    jars.mkdir(parents=True)
    for pin in pinned():
        (jars / pin.file_name).symlink_to(complete / pin.file_name)
    own = jars / JAR
    own.unlink()
    shutil.copy(repository.jar, own)
    return own


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_the_pins_are_those_of_the_version() -> None:
    pins = pinned()
    assert {*ROOTS} <= {pin.coordinate for pin in pins}
    assert len({pin.file_name for pin in pins}) == len(pins) > 40


def test_a_complete_cache_needs_no_repository(jar: Path, repository: Repository) -> None:
    assert str(jar) in class_path(thorough=True).split(os.pathsep)
    assert repository.asked == []


@pytest.mark.parametrize("damage", ["absent", "truncated", "altered"])
def test_a_damaged_jar_is_fetched_again(jar: Path, repository: Repository, damage: str) -> None:
    content = jar.read_bytes()
    if damage == "absent":
        jar.unlink()
    else:
        jar.write_bytes(content[:-100] if damage == "truncated" else content[:-1] + b"?")
    said: list[str] = []
    class_path(said.append, thorough=damage == "altered")
    assert jar.read_bytes() == content
    assert said[-1].endswith("100 %")
    assert repository.asked.count(f"/{IN_REPOSITORY}") == 1


def test_a_jar_that_is_not_the_pinned_one_is_not_installed(jar: Path, repository: Repository) -> None:
    jar.unlink()
    repository.jar.write_bytes(b"something else")
    with pytest.raises(KafkaUnavailable, match=f"{JAR} as fetched is not the file that was pinned"):
        class_path()
    assert not jar.exists()
    assert list(jar.parent.glob(".*")) == []


def test_without_a_repository_the_message_names_the_jar_and_the_ways_out(jar: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jar.unlink()
    with socket.socket() as nobody:  # bound, so that nobody else gets the port, but not listening
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HANDOFF_MAVEN_URL", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        with pytest.raises(KafkaUnavailable) as caught:
            class_path()
    message = str(caught.value)
    assert f"{JAR} could not be fetched" in message
    assert "HANDOFF_MAVEN_URL" in message
    assert f"copy another machine's jars to {jar.parent}" in message
    assert "\n" not in message


def test_two_that_miss_the_same_jar_fetch_it_once(jar: Path, repository: Repository) -> None:
    jar.unlink()
    with ThreadPoolExecutor(2) as pool:
        paths = list(pool.map(lambda _: class_path(), range(2)))
    assert paths[0] == paths[1]
    assert repository.asked.count(f"/{IN_REPOSITORY}") == 1


def test_a_cache_directory_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("HANDOFF_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(KafkaUnavailable, match="choose another with HANDOFF_CACHE_DIR"):
        class_path()


def test_the_command_tells_what_a_repository_lacks_and_exits_with_2(jar: Path, repository: Repository) -> None:
    jar.unlink()
    repository.jar.unlink()
    done = subprocess.run([sys.executable, "-m", "handoff.broker", "prepare"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"{JAR} could not be fetched from {repository.url}" in done.stderr
    assert len(done.stderr.splitlines()) == 1
