"""How the commands of a demo's end are typed in another terminal: by which name, and with which settings."""

import os
import shutil
import sys
from pathlib import Path

from handoff.settings import SERVICES, Settings, variable


def command() -> str:
    """What this command is called here: its name where the shell finds it, else where it is."""
    if shutil.which("handoff"):
        return "handoff"
    beside = Path(sys.executable).with_name("handoff")
    return _shown(beside) if beside.exists() else f"{_shown(Path(sys.executable))} -m handoff"


def exports(settings: Settings) -> str:
    """One line for a shell that was not told what this one was; empty where everything is as it is by default."""
    names = ("host", *(f"{service}_port" for service in SERVICES), "kafka_port")
    differing = {name: value for name in names if (value := getattr(settings, name)) != Settings.model_fields[name].default}
    return " ".join(["export", *(f"{variable(name)}={value}" for name, value in differing.items())]) if differing else ""


def _shown(program: Path) -> str:
    return os.path.relpath(program) if program.is_relative_to(Path.cwd()) else str(program)
