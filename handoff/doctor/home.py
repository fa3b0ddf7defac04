"""The data directory that belongs to the Kafka that answers: that of `handoff up`, that of a demo in it, or none here.

The embedded Kafka keeps its cluster id in its directory. So one look tells whether what answers on the port is ours; without it,
another installation's Kafka would be examined with this one's files.
"""

import os
import re
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from handoff.demo.settings import FOLDER
from handoff.doctor.finding import Outcome, error
from handoff.doctor.listeners import Met
from handoff.settings import Settings, variable
from handoff.stack.folder import OWNER


class Home(Struct, frozen=True):
    """Where the files are. ``running``: a `handoff up` holds it; ``foreign``: the Kafka that answers is of neither."""

    data_dir: Path
    running: bool
    demo: bool
    foreign: bool


def home(settings: Settings, met: Met | None) -> Home:
    """Which directory to look at."""
    own = settings.data_dir.absolute()
    demo = own / FOLDER
    if settings.kafka or met is None:
        return Home(own, _held(own), demo=False, foreign=False)
    if met.cluster_id == _cluster_id(demo):
        return Home(demo, _held(demo), demo=True, foreign=False)
    return Home(own, _held(own), demo=False, foreign=met.cluster_id != _cluster_id(own))


def other_kafka(door: Outcome, settings: Settings, place: Home) -> Outcome:
    """The outcome at the door, with what is to be said about a Kafka that is not this directory's."""
    if place.demo:
        return replace(door, said=f"{door.said}: the demo's")
    if not place.foreign:
        return door
    found = error(
        f"what answers at {settings.bootstrap} is not the Kafka of {place.data_dir}",
        where=settings.bootstrap,
        fix=f"name its data directory with {variable('data_dir')}, choose another port for yours with {variable('kafka_port')}, "
        f"or use it on purpose with {variable('kafka')}={settings.bootstrap}",
    )
    return replace(door, findings=(*door.findings, found))


def _cluster_id(data_dir: Path) -> str | None:
    try:
        text = (data_dir / "kafka" / "data" / "meta.properties").read_text(encoding="latin-1")
    except OSError:
        return None
    found = re.search(r"^cluster\.id=(\S+)", text, re.MULTILINE)
    return found[1] if found else None


def _held(data_dir: Path) -> bool:
    """Whether the process that last had the directory is alive. Its lock is not touched: a start would stumble over it."""
    try:
        os.kill(int((data_dir / OWNER).read_text()), 0)
    except PermissionError:
        return True
    except (OSError, ValueError):
        return False
    return True
