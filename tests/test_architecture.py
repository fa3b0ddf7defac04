"""The dependency rule, as it can be read in the folders: handoff -> services.* -> events.bus, files, web -> events."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SERVICES = ("lifecycle", "routing", "forecast")
IMPURE = {"asyncio", "io", "logging", "os", "pathlib", "random", "secrets", "socket", "sqlite3", "subprocess", "time", "uuid"}
IMPURE |= {"kafka", "faust", "fastapi", "eventsourcing", "prometheus_client", "uvicorn", "httpx2", "rich", "typer"}
OUTSIDE = {"bus", "files", "web"}
"""The folders of events that bring the contract to the outside, and may use what carries it there."""
CATALOGUES = {"events/facts.py"}
"""Flat lists of structs: long, and no shorter in several files."""
CLIENTS = {"KafkaAdminClient", "KafkaConsumer", "KafkaProducer"}


def modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import hides where it leads"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


@pytest.mark.parametrize("path", [p for p in modules("events") if not OUTSIDE & {*p.parts}], ids=str)
def test_the_contract_needs_the_standard_library_and_msgspec_only(path: Path) -> None:
    for name in imports(path):
        top = name.partition(".")[0]
        assert top in ("events", "msgspec") or top in sys.stdlib_module_names, name
        assert not within(name, "events.bus"), name
        assert not within(name, "events.files"), name


@pytest.mark.parametrize("path", modules("events/files"), ids=str)
def test_reading_files_needs_a_yaml_reader_besides_and_no_bus(path: Path) -> None:
    for name in imports(path):
        top = name.partition(".")[0]
        assert top in ("events", "msgspec", "ruamel") or top in sys.stdlib_module_names, name
        assert not within(name, "events.bus"), name


@pytest.mark.parametrize("path", [p for p in modules("events") if OUTSIDE & {*p.parts}], ids=str)
def test_what_carries_the_contract_knows_no_service(path: Path) -> None:
    for name in imports(path):
        assert not within(name, "services"), name
        assert not within(name, "handoff"), name


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_knows_no_other(service: str) -> None:
    for path in modules(f"services/{service}"):
        for name in imports(path):
            assert not within(name, "handoff"), f"{path}: {name}"
            assert not any(within(name, f"services.{other}") for other in SERVICES if other != service), f"{path}: {name}"


@pytest.mark.parametrize("service", SERVICES)
def test_the_domain_has_no_outside(service: str) -> None:
    package = ROOT / "services" / service / "domain"
    for path in modules(f"services/{service}/domain") if package.is_dir() else [package.with_suffix(".py")]:
        for name in imports(path):
            assert name.partition(".")[0] not in IMPURE, f"{path}: {name}"
            assert not within(name, "events.bus"), f"{path}: {name}"
            assert not within(name, "events.files"), f"{path}: {name}"
        assert ".now(" not in path.read_text(), f"{path} reads a clock"


@pytest.mark.parametrize("service", SERVICES)
def test_only_main_constructs(service: str) -> None:
    for path in modules(f"services/{service}"):
        if path.name != "__main__.py":
            assert "KafkaBus(" not in path.read_text(), path


def test_no_client_of_kafka_is_made_that_forgets_sockets() -> None:
    """Else the collector finds one in whatever test runs then; see events/bus/kafka/network.py."""
    for path in (path for folder in ("events", "services", "handoff", "tests") for path in modules(folder)):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CLIENTS:
                chosen = {argument.arg for argument in node.keywords}
                assert "kafka_client" in chosen, f"{path}:{node.lineno}: say kafka_client=NetworkClient"


def test_services_is_a_namespace() -> None:
    assert not (ROOT / "services" / "__init__.py").exists(), "each service ships alone"


@pytest.mark.parametrize("path", [p for folder in ("events", "services", "handoff") for p in modules(folder)], ids=str)
def test_every_module_says_what_it_is_for(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), f"{path} has no docstring"
    if path.relative_to(ROOT).as_posix() not in CATALOGUES:
        assert len(path.read_text().splitlines()) <= 330, f"{path} is long: the missing concept wants a name"
