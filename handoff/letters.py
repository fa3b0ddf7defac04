"""Dead letters as the services tell them over HTTP: which are meant, page by page; something done about them, with progress.

In go letters and criteria as they are typed (``lifecycle/17``, ``error=Bug``), out come what the services answer.
"""

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

from msgspec import Struct, field

from handoff.client import Services
from handoff.errors import USAGE, CommandError
from handoff.settings import SERVICES, ServiceName

PATH: Final = "/v1/dead-letters"
PAGE: Final = 1000
LETTERS_KEPT: Final = 1000
"""So many decisions are kept to be shown."""
SHOWN: Final = 5
"""So many of the letters that have failed again are named."""
LOOK_SECONDS: Final = 0.2
LISTS: Final = ("error", "topic", "source", "type", "id", "customer_id")
WORDS: Final = ("state", "recorded_from", "recorded_to", "text")
NUMBERS: Final = ("partition", "offset", "newer_than")
_FLAGS: Final = {"true": True, "false": False}

Say = Callable[[str], None]


class Asked(Struct, frozen=True, kw_only=True):
    """Which letters are meant, of which services: ``filter`` as the services have it, ``numbers`` where letters were named."""

    services: Sequence[ServiceName]
    filter: Mapping[str, Any]
    numbers: Mapping[ServiceName, Sequence[int]] = {}
    everything: bool = False

    @property
    def state(self) -> str:
        """The state that is meant: of letters that were named, any."""
        return str(self.filter.get("state", "any" if self.numbers else "waiting"))

    def body(self, service: ServiceName) -> dict[str, Any]:
        """The filter, for the body of a request."""
        named = {"number": list(self.numbers[service])} if service in self.numbers else {}
        return {**self.filter, **named, "state": self.state}

    def query(self, service: ServiceName) -> dict[str, Any]:
        """The filter, for the query of a request."""
        return {name: _query_text(value) for name, value in self.body(service).items()}


class Act(Struct, frozen=True):
    """What is to be done about letters, and by whom."""

    verb: Literal["replay", "drop"]
    actor: str
    reason: str | None
    force: bool = False
    dry_run: bool = False


class Tally(Struct):
    """What was done so far. ``newest``: the number of the newest letter before anything was done.

    ``logs``: those to which letters were replayed.
    """

    newest: int
    logs: set[str] = field(default_factory=set)
    letters: list[Mapping[str, Any]] = []
    done: int = 0
    seen: int = 0
    seconds: float = 0.0
    kept_by_reason: Counter[str] = field(default_factory=Counter)

    def said(self) -> dict[str, Any]:
        """The tally as JSON."""
        return {
            "done": self.done,
            "seen": self.seen,
            "seconds": round(self.seconds, 3),
            "kept_by_reason": dict(self.kept_by_reason.most_common()),
            "letters": self.letters,
        }


class Again(Struct, frozen=True):
    """The replays that have failed: how many (None where that was not known in time), and the newest of them."""

    count: int | None
    letters: Sequence[Mapping[str, Any]] = ()


def chosen(arguments: Sequence[str] | None, *, must: bool = False, everything: bool = False) -> Asked:
    """The letters that were typed. Raises ``CommandError``; ``must``: also where nothing was, and not ``everything`` is meant."""
    services: list[ServiceName] = []
    numbers: dict[ServiceName, list[int]] = {}
    criteria: dict[str, Any] = {}
    for argument in arguments or ():
        name, equals, value = argument.partition("=")
        if not equals:
            service, number = of_one(argument)
            numbers.setdefault(service, []).append(number)
        elif name == "service":
            services.append(_service(value))
        elif name in LISTS:
            criteria.setdefault(name, []).append(value)
        elif name in criteria:
            raise CommandError(f"{name} is there twice, and only one can hold", USAGE)
        else:
            criteria[name] = _value(name, value)
    if numbers and services:
        raise CommandError("name letters, or say a service: a letter's name says its service already", USAGE)
    if must and not (numbers or criteria or services or everything):
        raise CommandError("say which letters: their names (lifecycle/17), criteria (error=Bug), or --all that wait", USAGE)
    meant = tuple(numbers) or tuple(services) or SERVICES
    return Asked(services=meant, filter=criteria, numbers=numbers, everything=everything or bool(services))


def of_one(letter: str) -> tuple[ServiceName, int]:
    """The service and the number of a letter that was named. Raises ``CommandError``."""
    service, slash, number = letter.partition("/")
    if not slash or not number.isascii() or not number.isdigit():
        raise CommandError(f"{letter!r} is no letter: write for example lifecycle/17 (or a criterion such as error=Bug)", USAGE)
    return _service(service), int(number)


def listed(services: Services, service: ServiceName, asked: Asked, limit: int | None, **more: str) -> Iterator[Mapping[str, Any]]:
    """Letters, newest first, a page at a time."""
    after: str | None = None
    while limit is None or limit > 0:
        size = PAGE if limit is None else min(limit, PAGE)
        page = services.get(service, PATH, **asked.query(service), **more, limit=str(size), after=after)
        yield from page["dead_letters"]
        if page["next"] is None:
            return
        after = str(page["next"])
        limit = None if limit is None else limit - size


def done_about(services: Services, service: ServiceName, asked: Asked, act: Act, progress: Say) -> Tally:
    """Do it to all letters that are meant, as many at a time as the service takes, oldest first."""
    count = services.get(service, PATH, **asked.query(service), limit="1", count="true")["count"]
    newest = services.get(service, PATH, state="any", limit="1")["dead_letters"]
    tally = Tally(newest[0]["number"] if newest else 0)
    begun = time.monotonic()
    after: str | None = None
    while True:
        answer = services.post(service, f"{PATH}/{act.verb}", _body(service, asked, act, after))
        tally.done += answer["done"]
        tally.seen += len(answer["letters"])
        tally.letters += answer["letters"][: LETTERS_KEPT - len(tally.letters)]
        tally.logs |= {f"{letter['topic']}[{letter['partition']}]" for letter in answer["letters"] if letter["done"] == "replayed"}
        tally.kept_by_reason.update(kept(letter) for letter in answer["letters"] if letter["done"] is None)
        tally.seconds = time.monotonic() - begun
        if count:
            progress(f"{service}: {tally.seen:,} of {count:,} letters, {tally.seen / max(tally.seconds, 0.001):,.0f} a second")
        after = answer["next"]
        if after is None:
            return tally


def again(services: Services, service: ServiceName, tally: Tally, seconds: float, progress: Say) -> Again:
    """The replays that have failed since, once all that was replayed is taken in, by whichever worker."""
    deadline = time.monotonic() + seconds
    for left in _on_its_way(services, service, tally.logs):
        if time.monotonic() > deadline:
            return Again(None)
        progress(f"{service}: {left}")
        time.sleep(LOOK_SECONDS)
    asked = Asked(services=(service,), filter={"again": True, "newer_than": tally.newest})
    count = services.get(service, PATH, **asked.query(service), limit="1", count="true")["count"]
    return Again(count, list(listed(services, service, asked, SHOWN)))


def _on_its_way(services: Services, service: ServiceName, logs: Collection[str]) -> Iterator[str]:
    """What is left of what was replayed, in words, until nothing is.

    First it is published; then it is taken in, up to where its logs end by then, whatever comes after it.
    """
    said = _underway(services, service, logs)
    while said.unpublished or None in said.ends.values():
        yield f"{said.unpublished:,} to be published" if said.unpublished else "Kafka does not answer"
        said = _underway(services, service, logs)
    ends = {log: end for log, end in said.ends.items() if end is not None}
    while left := sum(max(0, ends[log] - position) for log, position in said.positions.items() if log in ends):
        yield f"{left:,} to be taken in"
        said = _underway(services, service, logs)


class _Underway(NamedTuple):
    """How far some logs are; none of those whose letters are forgotten."""

    unpublished: int
    positions: Mapping[str, int]
    ends: Mapping[str, int | None]


def _underway(services: Services, service: ServiceName, logs: Collection[str]) -> _Underway:
    said = services.get(service, f"{PATH}/replays")
    meant = [each for each in said["logs"] if each["log"] in logs]
    positions = {each["log"]: each["position"] for each in meant}
    return _Underway(said["unpublished"], positions, {each["log"]: each["end"] for each in meant})


def _body(service: ServiceName, asked: Asked, act: Act, after: str | None) -> dict[str, Any]:
    forced = {"force": True} if act.force else {}
    body = {"filter": asked.body(service), "all": asked.everything, "actor": act.actor, "reason": act.reason, **forced}
    return {**body, "dry_run": act.dry_run, "after": after, "limit": PAGE}


def kept(letter: Mapping[str, Any]) -> str:
    """Why nothing was done about a letter."""
    judged = letter["verdict"]
    return f"{letter['why']} ({judged['error']})" if judged and judged["error"] else str(letter["why"])


def _service(name: str) -> ServiceName:
    for service in SERVICES:
        if service == name:
            return service
    raise CommandError(f"there is no service {name!r}: it is one of {', '.join(SERVICES)}", USAGE)


def _value(name: str, value: str) -> Any:
    if name in WORDS:
        return value
    if name in NUMBERS and value.isascii() and value.isdigit():
        return int(value)
    if name == "again" and value in _FLAGS:
        return _FLAGS[value]
    if name in NUMBERS or name == "again":
        raise CommandError(f"{name}={value}: it is {'true or false' if name == 'again' else 'a number'}", USAGE)
    known = ", ".join(("service", *LISTS, *WORDS, *NUMBERS, "again"))
    raise CommandError(f"{name!r} is no criterion of dead letters; these are: {known}", USAGE)


def _query_text(value: Any) -> Any:
    if isinstance(value, list):
        return [str(each) for each in value]
    return str(value).lower() if isinstance(value, bool) else str(value)
