"""Commands as people write them: ``{"command": "set-status", "customer_id": ..., ...}`` becomes a CloudEvent.

The id is the one that is not derived from anything: it is its sender's (``Idempotency-Key``), or random. The time is that of the
server. So a command that is sent again under its key has to get the time that it got first (:mod:`services.lifecycle.keys`), or it
would be another one. What commands say is remembered for a while, so that they are known to be on their way.
"""

import threading
from collections import OrderedDict
from difflib import get_close_matches
from itertools import islice
from typing import Final

from msgspec import Raw
from msgspec.json import Decoder, encode
from msgspec.structs import fields

from events.codec import Fact, Undecodable, types_of
from events.diagnosis import REFUSALS_MAX
from events.envelope import Refusal, read_json
from events.facts import Data
from events.record import Headers
from events.submission import OPEN
from events.values import format_instant
from services.lifecycle.trace import Name

COMMANDS: Final = {
    "set-status": "crm.status.set.v1",
    "revert": "crm.status.reverted.v1",
    "convert": "crm.customer.converted.v1",
    "set-owner": "crm.owner.set.v1",
    "recycle": "crm.lead.recycled.v1",
}
"""What people may command, and the types of the events."""
SOURCE: Final = "handoff/commands"
"""``ce_source`` of commands that came in the plain form."""
REMEMBERED_MAX: Final = 10_000
"""How many commands are remembered."""

_OBJECT: Final = Decoder(dict[str, Raw])
_TEXT: Final = Decoder(str)


class Wrong(Exception):  # noqa: N818 - an answer on its way out
    """A body that is no command: everything that is wrong with it by its form."""

    def __init__(self, problems: list[Undecodable]) -> None:
        super().__init__(problems)
        self.problems = problems


def read_plain(body: bytes) -> tuple[str, bytes]:
    """The type and the data of a command. Raises ``Wrong``."""
    try:
        said = read_json(_OBJECT, body, "$")
        name = read_json(_TEXT, bytes(said.pop("command", Raw(b'""'))), "$.command")
    except Refusal as refusal:
        raise Wrong([Undecodable(refusal.reason, refusal.path)]) from None
    type_ = COMMANDS.get(name)
    if type_ is None:
        meant = get_close_matches(name[:100], COMMANDS, n=1)
        slip = f", did you mean {meant[0]}?" if meant else ""
        there = f"{name[:100]!r} is no command{slip}" if name else "is missing"
        raise Wrong([Undecodable(f"{there}: there are {', '.join(COMMANDS)}", "$.command")])
    known = [field.encode_name for field in fields(_data_of(type_))]
    unknown = islice((each for each in said if each not in known), REFUSALS_MAX)
    strange = [Undecodable(f"is no field of {name}, which has {', '.join(known)}", f"$.{each[:100]}") for each in unknown]
    if strange:
        raise Wrong(strange)
    return type_, encode(said)


def _data_of(type_: str) -> type[Data]:
    return types_of(OPEN[type_].name)[type_]


def headers_of(id_: str, type_: str, occurred_at: int) -> Headers:
    """The headers of the event, in binary mode. ``occurred_at``: nanoseconds since 1970."""
    attributes = {"specversion": "1.0", "id": id_, "source": SOURCE, "type": type_, "time": format_instant(occurred_at)}
    return (*((f"ce_{name}", text.encode()) for name, text in attributes.items()), ("content-type", b"application/json"))


class Remembered:
    """The commands that came lately, by their identity: what each of them said first. Thread-safe."""

    def __init__(self, commands_max: int = REMEMBERED_MAX) -> None:
        self._commands_max = commands_max
        self._lock = threading.Lock()
        self._facts: OrderedDict[tuple[str, str, str], Fact] = OrderedDict()

    def first(self, fact: Fact) -> Fact:
        """What was said first under the name of a command: this, if nothing was."""
        with self._lock:
            first = self._facts.setdefault((fact.customer_id, fact.source, fact.id), fact)
            while len(self._facts) > self._commands_max:
                self._facts.popitem(last=False)
            return first

    def get(self, name: Name, customer_id: str | None = None) -> Fact | None:
        """What was said under a name, if it is remembered: of one customer, or of any."""
        with self._lock:
            if customer_id is not None:
                return self._facts.get((customer_id, *name))
            return next((fact for key, fact in self._facts.items() if key[1:] == name), None)
