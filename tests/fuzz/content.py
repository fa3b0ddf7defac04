"""What there is to ask the services of :mod:`tests.fuzz.worlds` for: whoever makes ids up is answered 404, and sees no success.

Asked of the services themselves, by the lists that they have: ids and bodies for :data:`Known` requests, and with what values the
answers go on, by the names of parameters. Apart from :mod:`tests.fuzz.conformance`, which needs schemathesis, so
that this is tested without.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from fastapi import FastAPI
from fastapi.testclient import TestClient

from events.values import parse_instant
from services.lifecycle.plain_commands import COMMANDS
from tests.fuzz.worlds import SERVICES, Worlds

SOME: Final = 5
"""So many of each thing: customers, batches, letters."""
WHEN: Final = re.compile(r"(?:^|_)(?:from|to|of|at|since)$")
"""What parameters are called that take an instant or a day."""
CHANGES: Final[Sequence[Mapping[str, str]]] = (
    {"command": "set-owner", "rep_id": "ann"},
    {"command": "set-status", "status": "Qualified"},
    {"command": "convert"},
    {"command": "revert", "stage": "lead"},
    {"command": "recycle", "reason": "not now", "until": "2026-09-01"},
)
_ENDED: Final = ("applied", "cancelled")
_ACTOR: Final[Mapping[str, Any]] = {"actor": "dana"}
_TIME: Final = "2025-01-02T13:00:00Z"
"""Of events that are sent: whatever the clock of this machine says, it has been."""


class Known(NamedTuple):
    """A request about something that is there, with no more in it than must be."""

    path: Mapping[str, Any] = {}
    query: Mapping[str, Any] = {}
    headers: Mapping[str, str] = {}
    body: Any = None
    media_type: str | None = None

    def sent(self, client: TestClient, method: str, path: str) -> Any:
        """The answer to it. ``path``: with the names of parameters."""
        content = None if self.body is None else json.dumps(self.body)
        headers = {**self.headers} if self.media_type is None else {**self.headers, "content-type": self.media_type}
        return client.request(method, _filled(path, self.path), params={**self.query}, headers=headers, content=content)


class Content(NamedTuple):
    """Of one service. ``known``: by operation, as ``GET /v1/customers``; what names no thing is known without.

    ``said``: the values that such an answer has, by operation and name: what may be asked of it by a parameter of that name.
    ``instants``: those that are told anywhere.
    """

    known: Mapping[str, Sequence[Known]]
    said: Mapping[str, Mapping[str, Sequence[Any]]]
    instants: Sequence[str]

    def about(self, operation: str) -> Sequence[Known]:
        """The requests of an operation that are known."""
        return self.known.get(operation, () if "{" in operation else (Known(),))


NOTHING: Final = Content({}, {}, ())

Get = Callable[[str], Any]
"""The answer to a path, as JSON."""


def contents(worlds: Worlds) -> Mapping[str, Content]:
    """What there is in each service, once all has happened that was asked for."""
    worlds.settle()
    return {service: content_of(worlds.apps[service], _FINDERS[service](worlds)) for service in SERVICES}


def content_of(app: FastAPI, find: Callable[[Get], Iterator[tuple[str, Sequence[Known]]]]) -> Content:
    """What there is in a service. ``find``: known requests by operation."""
    client = TestClient(app)

    def get(path: str) -> Any:
        answer = client.get(path)
        assert answer.is_success, f"{path}: {answer.text}"
        return answer.json()

    known = dict(find(get))
    content, said, instants = Content(known, {}, ()), {}, set[str]()
    for path, operations in app.openapi()["paths"].items():
        operation = operations.get("get")
        if operation is None or not (asked := content.about(f"GET {path}")):
            continue
        names = {each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"}
        answer = asked[0].sent(client, "GET", path)
        if not (answer.is_success and answer.headers.get("content-type", "").startswith("application/json")):
            continue
        values = _values(answer.json())
        said[f"GET {path}"] = {name: values[name] for name in sorted(names & values.keys())}
        instants |= {value for each in values.values() for value in each if _is_instant(value)}
        if {"after", "limit"} <= names:
            paged = asked[0]._replace(query={**asked[0].query, "limit": 1})
            following = paged.sent(client, "GET", path).json().get("next")
            if following is not None:
                known[f"GET {path}"] = (*asked, paged._replace(query={**paged.query, "after": following}))
        if "format" in names:
            table = asked[0]._replace(query={**asked[0].query, "format": "csv"})
            known[f"GET {path}"] = (*content.about(f"GET {path}"), table)
    return Content(known, said, sorted(instants))


# ----------------------------------------------------------------------------------------------- of each service


def of_lifecycle(get: Get) -> Iterator[tuple[str, Sequence[Known]]]:
    """Customers, what happened to them, commands, and mass changes by what can still be done with them."""
    customers = [each["customer_id"] for each in get(f"/v1/customers?limit={SOME}")["customers"]]
    records = [get(f"/v1/customers/{quote(customer, safe='')}") for customer in customers]
    timelines = [get(f"/v1/timeline/{quote(customer, safe='')}?limit={SOME}") for customer in customers]
    of_one = [Known({"customer_id": customer}) for customer in customers]
    yield from ((f"GET {path}/{{customer_id}}", of_one) for path in ("/v1/customers", "/v1/timeline"))
    events = [
        {"customer_id": timeline["customer_id"], "source": entry["source"], "id": entry["id"]}
        for timeline in timelines
        for entry in timeline["timeline"]
    ]
    letters = get(f"/v1/dead-letters?state=any&limit={SOME}")["dead_letters"]
    events += [{name: letter[name] for name in ("customer_id", "source", "id")} for letter in letters if letter["id"]]
    yield "GET /v1/events", [Known(query=each) for each in events]
    yield (
        "GET /v1/events/{source}/{id}",
        [Known({"source": each["source"], "id": each["id"]}, {"customer_id": each["customer_id"]}) for each in events],
    )
    commands = [(record["customer_id"], command) for record in records for command in record["commands"]]
    yield (
        "GET /v1/commands/{id}",
        [
            Known({"id": command["id"]}, {"source": command["source"], "customer_id": customer})
            for customer, command in commands[:SOME]
        ],
    )
    yield "POST /v1/commands", list(_commands(customers))
    yield "POST /v1/events", list(_events(customers))
    yield from _mass_changes(get)
    yield from of_letters(get)
    yield from of_rebuilds(get)


def _commands(customers: Sequence[str]) -> Iterator[Known]:
    for number, change in enumerate(CHANGES):
        customer = customers[number % len(customers)]
        plain = {**change, "customer_id": customer, **({} if change["command"] == "recycle" else _ACTOR)}
        yield Known(body=plain, media_type="application/json")
        data = {name: value for name, value in plain.items() if name != "command"}
        event = {"specversion": "1.0", "id": f"told-{number}", "source": "/crm", "type": COMMANDS[change["command"]], "time": _TIME}
        yield Known(body={**event, "data": data}, media_type="application/cloudevents+json")


def _events(customers: Sequence[str]) -> Iterator[Known]:
    kind, source = "crm.lead.updated.v1", "/web"
    for number, customer in enumerate(customers):
        attributes = {"specversion": "1.0", "id": f"sent-{number}", "source": source, "type": kind, "time": _TIME}
        data = {"customer_id": customer, "lead_id": f"L-{number + 1}", "company": f"Acme {number}"}
        event = {**attributes, "data": data}
        headers = {f"ce-{name}": value for name, value in attributes.items()}
        yield Known(body=event, media_type="application/cloudevents+json")
        yield Known(body=[event, {**event, "id": 1}], media_type="application/cloudevents-batch+json")
        yield Known(headers=headers, body=data, media_type="application/json")


def _mass_changes(get: Get) -> Iterator[tuple[str, Sequence[Known]]]:
    batches = get("/v1/mass-changes?limit=100")["mass_changes"]
    path = "/v1/mass-changes/{id}"

    def those(good: Callable[[Mapping[str, Any]], bool], **more: Any) -> list[Known]:
        return [Known({"id": each["id"]}, **more) for each in batches if good(each)][:SOME]

    seen = [each["id"] for each in batches if each["state"] == "previewed"]  # some to be applied, and others to be given up
    yield f"GET {path}", those(lambda _: True)
    yield f"GET {path}/records", those(lambda each: each["previewed"] > 0)
    yield f"POST {path}/apply", those(lambda each: each["id"] in seen[::2] or each["state"] in ("applying", "applied"))
    yield f"POST {path}/cancel", those(lambda each: each["id"] in seen[1::2] or each["state"] == "cancelled")
    yield (
        f"POST {path}/revert",
        those(
            lambda each: each["state"] in _ENDED and each["written"] and each["reverted_by"] is None,
            body=_ACTOR,
            media_type="application/json",
        ),
    )
    wanted = [{"filter": {"stage": ["lead"]}, "change": change, "reason": "tidy up", **_ACTOR} for change in CHANGES[:4]]
    wanted.append({"filter": {}, "all": True, "change": {"command": "recycle"}, "reason": "tidy up", **_ACTOR})
    yield "POST /v1/mass-changes", [Known(body=each, media_type="application/json") for each in wanted]


def of_letters(get: Get) -> Iterator[tuple[str, Sequence[Known]]]:
    """Dead letters, those that wait first: a record that cannot be read can be replayed by force, and becomes another letter."""
    path = "/v1/dead-letters"
    letters = sorted(get(f"{path}?state=any&limit={SOME}")["dead_letters"], key=lambda each: each["state"] != "waiting")
    numbers = [each["number"] for each in letters]
    for what in ("", "/value"):
        yield f"GET {path}/{{number}}{what}", [Known({"number": number}) for number in numbers]
    chosen = [{"filter": {"number": [number], "state": "any"}, "reason": "a test", **_ACTOR} for number in numbers]
    for act, how in (("replay", "force"), ("drop", "dry_run")):
        bodies = [each | more for each in chosen for more in ({how: True}, {})]
        yield f"POST {path}/{act}", [Known(body=each, media_type="application/json") for each in bodies]


def of_rebuilds(get: Get) -> Iterator[tuple[str, Sequence[Known]]]:
    """Views: any can be made again, and then be given up."""
    path = "/v1/rebuilds"
    views = [each["view"] for each in get(path)["views"]]
    yield f"POST {path}", [Known(body={"view": view, **_ACTOR}, media_type="application/json") for view in views]
    for method in ("GET", "DELETE"):
        yield f"{method} {path}/{{view}}", [Known({"view": view}) for view in views]


def of_forecast(get: Get) -> Iterator[tuple[str, Sequence[Known]]]:
    """Deals, and the periods that they are in."""
    deals = get(f"/v1/deals?limit={SOME}")["deals"]
    yield "GET /v1/deals/{deal_id}", [Known({"deal_id": each["deal_id"]}, {"customer_id": each["customer_id"]}) for each in deals]
    days = sorted({each["date"] for each in deals if each["date"]})
    yield "GET /v1/forecast", [Known(query={"period": day[:length]}) for day in days for length in (len("2017"), len("2017-05"))]
    yield from of_letters(get)
    yield from of_rebuilds(get)


def of_routing(get: Get, customers: Iterable[str]) -> Iterator[tuple[str, Sequence[Known]]]:
    """The customers that something was decided about, which it does not list."""
    yield "GET /v1/assignments/{customer_id}", [Known({"customer_id": customer}) for customer in customers][:SOME]
    yield from of_letters(get)


_FINDERS: Final[Mapping[str, Callable[[Worlds], Callable[[Get], Iterator[tuple[str, Sequence[Known]]]]]]] = {
    "lifecycle": lambda _: of_lifecycle,
    "routing": lambda worlds: lambda get: of_routing(get, worlds.routed()),
    "forecast": lambda _: of_forecast,
}


# ----------------------------------------------------------------------------------------------- reading answers


def _filled(path: str, parameters: Mapping[str, Any]) -> str:
    for name, value in parameters.items():
        path = path.replace(f"{{{name}}}", quote(str(value), safe=""))
    return path


def _values(said: Any) -> dict[str, list[Any]]:
    """All texts, numbers and truths of an answer by the names that they have there, in order, each once."""
    found: dict[str, dict[str, Any]] = {}

    def look(name: str, value: Any) -> None:
        if isinstance(value, dict):
            for inner, each in value.items():
                look(inner, each)
        elif isinstance(value, list):
            for each in value:
                look(name, each)
        elif value is not None:
            found.setdefault(name, {})[json.dumps(value)] = value

    look("", said)
    return {name: list(values.values()) for name, values in found.items()}


def _is_instant(value: Any) -> bool:
    try:
        return isinstance(value, str) and parse_instant(value) is not None
    except ValueError:
        return False
