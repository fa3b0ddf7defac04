"""What to try when the year is over: six commands, each with what it shows and a CRM does not, about what the year has brought.

In go what was seen of the year and what the services answer now; out come suggestions with real ids, days and amounts. Whatever a
line claims was asked for a moment ago, the same way as the command will ask for it.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlencode

from events.topics import dead_letters
from events.values import format_instant
from handoff.client import Services
from handoff.demo.late import Late
from handoff.demo.scene import Scene, money
from handoff.demo.watcher import Telling
from handoff.demo.worktime import Year, month_ends
from handoff.settings import Settings

WIDTH: Final = 77
"""Nothing that is said about a command is wider: with its number it fits the narrowest screen."""
CUSTOMERS_ASKED_MAX: Final = 60
STATUSES_SHOWN: Final = 20
"""So many of a customer's statuses are shown by `handoff customer`, the last ones."""
DEALS_MAX: Final = 500
"""So many deals are on one page."""


class Suggestion(NamedTuple):
    """A command as it is typed, and what it shows."""

    why: str
    command: str


class Then(NamedTuple):
    """Totals of a day: as they are known now, and as they were known that evening."""

    day: date
    now: Mapping[str, Any]
    known: Mapping[str, Any]

    def changed(self, state: str) -> Decimal:
        """What late facts have added since."""
        return Decimal(self.now["totals"][state]["amount"]) - Decimal(self.known["totals"][state]["amount"])


def farewell(scene: Scene, late: Iterable[Late], settings: Settings, handoff: str) -> Iterator[Suggestion]:
    """The six. ``handoff``: how the command is called here. Raises ``CommandError`` where a service does not answer."""
    with Services(settings) as services:
        yield from _explained(services, scene, handoff)
        then = _then(services, scene.year)
        yield from _as_of(then, handoff)
        yield from _corrected(services, late, handoff)
        yield from _buried(scene, handoff)
        yield from _spreadsheet(then, settings)


# ----------------------------------------------------------------------------------------- why this rep


def _explained(services: Services, scene: Scene, handoff: str) -> Iterator[Suggestion]:
    for telling in scene.seen.telling:
        if _newest(services, telling.customer_id) == telling.assignment_id:
            yield Suggestion(_why(telling), f"{handoff} explain {telling.customer_id}")
            return


def _newest(services: Services, customer_id: str) -> str | None:
    """The assignment by which somebody has the record now."""
    newest = services.get("routing", f"/v1/assignments/{quote(customer_id, safe='')}")["assignments"][0]
    return None if "reason" in newest else newest["assignment_id"]


def _why(telling: Telling) -> str:
    if telling.excluded:
        other, reason = telling.excluded[0]
        why = f"Why {telling.rep_id} got {telling.customer_id} and {other} did not: {reason}"
        if len(why) <= WIDTH:
            return why
    return f"Why {telling.rep_id} got {telling.customer_id}: every rule tried, every rep, the values they saw"


# ------------------------------------------------------------------------------------------ the past


def _then(services: Services, year: Year) -> Then:
    """The end of a month for which late facts have changed what was won; else what is open; else the last one."""
    found = [_totals(services, day) for day in month_ends(year)]
    return max(found, key=lambda each: (abs(each.changed("won")), abs(each.changed("open")), each.day))


def _totals(services: Services, day: date) -> Then:
    now, known = (
        services.get("forecast", "/v1/pipeline", by="team", as_of=day.isoformat(), known_at=known_at)
        for known_at in (None, day.isoformat())
    )
    return Then(day, now, known)


def _as_of(then: Then, handoff: str) -> Iterator[Suggestion]:
    opened, currency = then.now["totals"]["open"], then.now["currency"]
    command = f"{handoff} forecast --as-of {then.day}"
    yield Suggestion(
        f"The pipeline as it stood on {then.day}: {opened['count']:,} deals open, {money(Decimal(opened['amount']))} {currency}",
        f"{command} --by team",
    )
    state = "won" if then.changed("won") else "open"
    changed = then.changed(state)
    differs = f"{money(abs(changed))} {currency} {'less' if changed > 0 else 'more'} {state}" if changed else "no late fact since"
    yield Suggestion(f"The same as it was known that evening: {differs}", f"{command} --known-at {then.day}")


def _corrected(services: Services, late: Iterable[Late], handoff: str) -> Iterator[Suggestion]:
    """A record into whose past a late fact was put; best is one of a sale, behind which stands what was known before it."""
    found = []
    for fact in sorted(late, key=_tells, reverse=True)[:CUSTOMERS_ASKED_MAX]:
        history = services.get("lifecycle", f"/v1/customers/{quote(fact.customer_id, safe='')}")["history"][-STATUSES_SHOWN:]
        for place, state in enumerate(history, start=1):
            if (state["cause"]["source"], state["cause"]["id"]) == (fact.source, fact.id):
                known_before = any(later["recorded_at"] < state["recorded_at"] for later in history[place:])
                found.append((known_before, _tells(fact), fact))
    if not found:
        return
    _, _, fact = max(found)
    told = fact.type.removeprefix("crm.").rpartition(".v")[0].replace(".", " ")
    yield Suggestion(
        f"The past of {fact.customer_id}: {told} {_day(fact.happened_at)}, known only on {_day(fact.arrived_at)}",
        f"{handoff} customer {fact.customer_id}",
    )


def _tells(fact: Late) -> tuple[bool, int]:
    """What is said of a sale tells more than what is said of a lead; and the later it came, the more it tells."""
    return not fact.type.startswith("crm.lead."), fact.arrived_at - fact.happened_at


def _day(instant: int) -> str:
    return format_instant(instant)[:10]


# ------------------------------------------------------------------------------ what is wrong, what is behind


def _buried(scene: Scene, handoff: str) -> Iterator[Suggestion]:
    if count := scene.seen.buried.get("lifecycle", 0):
        yield Suggestion(
            f"The {count:,} records that were wrong: where and why; nothing else waited for them",
            f"{handoff} tail {dead_letters('lifecycle').name} --from-beginning --limit {count} | sort",
        )


def _spreadsheet(then: Then, settings: Settings) -> Iterator[Suggestion]:
    groups = [group for group in then.now["groups"] if group["key"] and 0 < group["won"]["count"] <= DEALS_MAX]
    team = max(groups, key=lambda group: (group["won"]["count"], group["key"]), default=None)
    if team is None:
        return
    asked = {"by": "team", "key": team["key"], "state": "won", "as_of": then.day, "limit": DEALS_MAX, "format": "csv"}
    count, amount = team["won"]["count"], money(Decimal(team["won"]["amount"]))
    yield Suggestion(
        f"The {count:,} deals behind {amount} {then.now['currency']} won by {team['label']} until then, as CSV",
        f"curl '{settings.url('forecast')}/v1/deals?{urlencode(asked)}'",
    )
