"""The reference says what the code says, and forgets nothing."""

import ast
from pathlib import Path

import pytest

from docs.generator import limits
from docs.generator.command_line import commands
from docs.generator.dead_letters import ERRORS
from docs.generator.http import applications, operations
from docs.generator.metrics import metrics
from docs.generator.pages import FOLDER, pages
from events import schema
from events.topics import TOPICS
from handoff.configuration import all_settings

ROOT = Path(__file__).parents[2]
PAGES = pages()


def written(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_page_is_what_the_code_says(name: str) -> None:
    assert (FOLDER / name).exists(), f"{name} is missing: run `make docs`"
    assert written(name) == PAGES[name], f"{name} is stale: run `make docs`"


def test_no_page_is_left_over() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(PAGES)


def test_every_topic_and_every_type_has_a_section() -> None:
    lines = written("events.md").splitlines()
    assert not [topic.name for topic in TOPICS if f"## {topic.name}" not in lines]
    assert not [name for name in schema.types() if f"### {name}" not in lines]


def test_every_field_of_every_type_is_explained() -> None:
    unexplained = [
        f"{name}: {field}"
        for name in schema.types()
        for definition in schema.schema(name)["$defs"].values()
        for field, said in definition["properties"].items()
        if not said.get("description")
    ]
    assert not unexplained


def test_every_setting_is_listed_with_a_meaning() -> None:
    listed = written("settings.md")
    assert not [each.name for each in all_settings() if f"| `{each.name}` |" not in listed or not each.meaning]


def test_every_variable_that_the_code_names_is_a_setting() -> None:
    known = {each.name for each in all_settings()}
    named = {
        node.value
        for folder in ("events", "services", "handoff")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("HANDOFF_")
        if node.value.removeprefix("HANDOFF_").replace("_", "").isalpha()
    }
    assert not named - known


def test_every_command_and_option_is_listed_with_a_meaning() -> None:
    page = written("command-line.md")
    sections = dict(part.split("\n", 1) for part in page.split("\n## ")[1:])
    for path, command in commands():
        assert command.help, path
        for parameter in command.params:
            if "--help" in parameter.opts or parameter.hidden:
                continue
            name = parameter.opts[0] if parameter.param_type_name == "option" else (parameter.metavar or parameter.name.upper())
            assert f"`{name}`" in sections[path], f"{path} {name}"
            assert parameter.help, f"{path} {name} has no help"


def test_every_command_is_found() -> None:
    """By another way than the generator goes: the modules of the commands."""
    listed = {path.split()[1] for path, _ in commands()}
    modules = {path.stem.replace("_", "-") for path in (ROOT / "handoff" / "commands").glob("*.py")} - {"--init--"}
    assert modules - {"imports"} <= listed
    assert "import" in listed


def test_every_route_and_parameter_is_listed() -> None:
    page = written("http.md")
    shared = "".join(page.split(f"\n## {part}\n")[1].split("\n## ")[0] for part in ("Dead letters", "Rebuilds"))
    for service, app in applications().items():
        section = page.split(f"\n## {service}\n")[1].split("\n## ")[0] + shared
        routes = list(operations(app.openapi()))
        assert routes
        for method, path, operation in routes:
            assert f"### {method} {path}\n" in section or f"`{path}`" in section, f"{service} {method} {path}"
            for parameter in operation.get("parameters", ()):
                assert f"`{parameter['name']}`" in section, f"{service} {path} {parameter['name']}"


def test_every_limit_of_the_code_is_told() -> None:
    """Module by module: what is called a maximum is in the page, or is said to be no limit that anybody meets."""
    found = set()
    for folder in ("events", "services"):
        for path in (ROOT / folder).rglob("*.py"):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id.endswith("_MAX"):
                    found.add(f"{module}:{node.target.id}")
    told = {limit.constant for about in limits.LIMITS.values() for limit in about}
    assert not found - told - limits.ELSEWHERE
    assert not limits.ELSEWHERE - found
    assert not told & limits.ELSEWHERE


def test_every_metric_and_label_is_listed() -> None:
    page = written("metrics.md")
    for service, told in metrics().items():
        section = page.split(f"\n## {service}\n")[1].split("\n## ")[0]
        assert told
        for each in told:
            assert f"| `{each.name}` | {each.kind} |" in section, each
            assert each.meaning, each


def test_the_code_buries_records_as_nothing_else_than_the_classes_listed() -> None:
    """Every ``DeadLetter(error=…)`` in the code names a class of the list, or a constant or argument that is one."""
    found = set()
    for path in (ROOT / "services").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        constants = {
            target.id: node.value.value
            for node in ast.walk(tree)
            if isinstance(node, ast.AnnAssign | ast.Assign) and isinstance(node.value, ast.Constant)
            for target in ([node.target] if isinstance(node, ast.AnnAssign) else node.targets)
            if isinstance(target, ast.Name)
        }
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
            if name == "DeadLetter":
                values = [keyword.value for keyword in call.keywords if keyword.arg == "error"]
            elif name == "_bury":
                values = [call.args[1]]
            else:
                continue
            for value in values:
                if isinstance(value, ast.Constant):
                    found.add(value.value)
                elif isinstance(value, ast.Name) and value.id in constants:
                    found.add(constants[value.id])
    assert found == set(ERRORS)
