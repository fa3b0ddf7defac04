"""The page of the command line: every command with its arguments and options."""

from collections.abc import Iterator
from inspect import cleandoc
from typing import Any, Protocol, cast

import typer

from docs.generator.markdown import code, prose, table
from handoff.cli import app


class Command(Protocol):
    """What is asked of a command. Typer brings a click of its own, so the types of click do not fit."""

    name: str | None
    help: str | None
    params: list[Any]
    hidden: bool


def page() -> str:
    """The page."""
    return "\n".join([_INTRODUCTION, *(_section(path, command) for path, command in commands())])


def commands() -> Iterator[tuple[str, Command]]:
    """Every command with its path (``handoff topics create``)."""
    yield from _below("handoff", cast(Command, typer.main.get_command(app)))


_INTRODUCTION = """# Command line

Exit codes: 0 well, 1 not well (the answer is bad news), 2 wrong usage or environment. Errors go to standard error. On a terminal
answers are drawn within its width; in a pipe every line is plain and whole. `-h` and `--help` show the help of any command.
"""


def _below(path: str, command: Command) -> Iterator[tuple[str, Command]]:
    inner: dict[str, Command] = getattr(command, "commands", {})
    if not inner or getattr(command, "invoke_without_command", False):
        yield path, command
    for name, each in inner.items():
        if not each.hidden:
            yield from _below(f"{path} {name}", each)


def _section(path: str, command: Command) -> str:
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    options = [each for each in command.params if each.param_type_name == "option" and "--help" not in each.opts]
    usage = " ".join([path, *(_usage(each) for each in arguments)])
    rows = [(code(_metavar(each)), prose(each.help or "")) for each in arguments] + [
        (
            ", ".join(code(name) for name in [*each.opts, *each.secondary_opts]) + _value(each),
            prose(each.help or "") + _default(each),
        )
        for each in options
        if not each.hidden
    ]
    shown = "\n" + table(("argument or option", "meaning"), rows) if rows else ""
    return f"## {path}\n\n{prose(cleandoc(command.help or ''))}\n\n```text\n{usage}{' [OPTIONS]' if options else ''}\n```\n{shown}"


def _usage(argument: Any) -> str:
    name = _metavar(argument) + ("..." if argument.nargs == -1 else "")
    return name if argument.required else f"[{name}]"


def _metavar(parameter: Any) -> str:
    return str(parameter.metavar or parameter.name.upper())


def _value(option: Any) -> str:
    return "" if option.is_flag else f" {_metavar(option)}"


def _default(option: Any) -> str:
    plain = option.default is None or callable(option.default) or option.default is False
    return "" if plain or not option.show_default else f" Default: {code(option.default)}."
