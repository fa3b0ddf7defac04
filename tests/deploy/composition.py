"""docker-compose.yml and deploy/Dockerfile as data: what tests ask about them, read from the files themselves."""

import json
import re
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from docker.utils.build import exclude_paths
from msgspec import Struct
from ruamel.yaml import YAML

ROOT: Final = Path(__file__).parent.parent.parent
DOCKERFILE: Final = ROOT / "deploy" / "Dockerfile"
_VARIABLE: Final = re.compile(r"\$\{(\w+):-([^}]*)\}")


def compose(variables: Mapping[str, str] = {}) -> dict[str, Any]:
    """The compose file with its ``${NAME:-default}`` filled in."""
    found: dict[str, Any] = YAML(typ="safe").load(_VARIABLE.sub(lambda match: variables.get(match[1], match[2]), text()))
    return found


def text() -> str:
    """The compose file as it stands."""
    return (ROOT / "docker-compose.yml").read_text(encoding="utf-8")


def defaults() -> set[tuple[str, str]]:
    """Every variable that the compose file reads, with its default."""
    return set(_VARIABLE.findall(text()))


def environment(service: Mapping[str, Any]) -> dict[str, str]:
    """What a container's environment says of itself; what is only passed through is left out."""
    return {name: str(value) for name, value in service.get("environment", {}).items() if value is not None}


class Instruction(Struct, frozen=True):
    """One line of a Dockerfile; ``stage`` counts from 0."""

    stage: int
    name: str
    rest: str


def instructions() -> list[Instruction]:
    """The Dockerfile, without comments, continued lines joined."""
    lines = "\n".join(line for line in DOCKERFILE.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
    found: list[Instruction] = []
    stage = -1
    for line in filter(None, lines.replace("\\\n", " ").splitlines()):
        name, rest = line.split(maxsplit=1)
        stage += name == "FROM"
        found.append(Instruction(stage, name, rest))
    return found


def image_environment() -> dict[str, str]:
    """What the last stage sets."""
    last = max(each.stage for each in instructions())
    settings = [each.rest for each in instructions() if (each.stage, each.name) == (last, "ENV")]
    return dict(pair.split("=", 1) for rest in settings for pair in shlex.split(rest))


def context() -> set[str]:
    """The files that a build is sent: all but those that .dockerignore names."""
    patterns = [line for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line and line[0] != "#"]
    return {path for path in exclude_paths(str(ROOT), patterns, "deploy/Dockerfile") if (ROOT / path).is_file()}


def copy_into(image: Path) -> None:
    """Do what the COPY lines of the first stage say, from the context into a directory that stands for the image's root."""
    sent = context()
    here = "/"
    for each in instructions():
        if each.name == "WORKDIR" and each.stage == 0:
            here = each.rest
        if each.name != "COPY" or each.stage:
            continue
        *sources, target = each.rest.split()
        folder = image / (target if target.startswith("/") else f"{here}/{target}").lstrip("/")
        for source in sources:
            files = [path for path in sent if path == source or path.startswith(f"{source}/")]
            assert files, f"COPY {source}: not in the context (.dockerignore)"
            for path in files:
                place = folder / (Path(path).relative_to(source) if path != source else Path(path).name)
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / path, place)


def command(instruction: Instruction) -> list[str]:
    """The words of an instruction in exec form."""
    found: list[str] = json.loads(instruction.rest)
    return found
