"""What forecast must answer, counted from the plain fold of the facts: to the cent (I2).

Nothing here is shared with services/forecast: histories come from the reference fold, every deal is looked at one by one, and the
rules are those of the design (a deal counts once; won by the day it was won, open by its close date; weighted is rounded once).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any, NamedTuple

from events.values import NANOSECONDS, parse_instant
from tests.faults.evidence import Answer, Evidence
from tests.lifecycle.reference_fold import Held, Reference

Teams = Mapping[str, tuple[str | None, str | None]]
"""Team and region of each rep."""


class History(NamedTuple):
    """What held when: a customer's statuses, and each of its deals."""

    statuses: Sequence[Held]
    images: Sequence[Sequence[Held]]


class Deal(NamedTuple):
    """A deal as it stood; ``stage`` is the record's, ``figures`` are amount, worst, likely, upside in minor units."""

    stage: str | None
    image: Mapping[str, Any]

    @property
    def figures(self) -> list[int]:
        return [figure or 0 for figure in self.image["figures"][:4]]

    @property
    def day(self) -> str | None:
        """The day by which it falls into a period."""
        if self.image["state"] == "open":
            return None if self.image["close_date"] is None else str(self.image["close_date"])
        return str(datetime.fromtimestamp(self.image["closed_at"] // NANOSECONDS, UTC).date())


def check_forecast(
    evidence: Evidence, expected: Mapping[str, Reference], teams_at: Callable[[int], Teams], began: int
) -> Iterator[str]:
    """Every answer against the same figures, counted one by one. ``began``: no question was asked before."""
    histories = [History(reference.statuses, list(reference.images().values())) for reference in expected.values()]
    yield from check_answers(evidence.answers, histories, teams_at, began)


def check_answers(
    answers: Iterable[Answer], histories: Sequence[History], teams_at: Callable[[int], Teams], began: int
) -> Iterator[str]:
    """Every answer against what the histories of all customers add up to."""
    for answer in answers:
        name = f"forecast: {answer.path} {dict(answer.parameters)}"
        yield from (f"{name}: {wrong}" for wrong in _moment(answer, began))
        as_of = parse_instant(answer.parameters.get("as_of", answer.body["as_of"]))
        deals = standing(histories, as_of)
        keys = keys_by(answer.parameters.get("by"), teams_at(as_of))
        count = expectation if "period" in answer.parameters else pipeline
        seen = _figures(answer)
        for figure, wanted in count(deals, answer.parameters, keys).items():
            if seen[figure] != wanted:
                yield f"{name}: {figure} is {seen[figure]}, by the facts {wanted}"


def _moment(answer: Answer, began: int) -> Iterator[str]:
    """Whether it is about the moment that was asked for; without one, about that in which it was asked."""
    told, asked = answer.body["as_of"], answer.parameters.get("as_of")
    if asked is not None and parse_instant(told) != parse_instant(asked):
        yield f"as_of is {told}, not what was asked for"
    if asked is None and not began <= parse_instant(told) <= (answer.ended or parse_instant(told)):
        yield f"as_of is {told}, which is not when it was asked"
    told, asked = answer.body.get("known_at"), answer.parameters.get("known_at")
    if (told and parse_instant(told)) != (asked and parse_instant(asked)):
        yield f"known_at is {told}, asked for was {asked}"


def standing(histories: Sequence[History], as_of: int) -> list[Deal]:
    """All deals at an instant."""
    deals = []
    for statuses, images in histories:
        stages = [what[0] for at, what, _ in statuses if at <= as_of]
        for history in images:
            begun = [image for at, image, _ in history if at <= as_of]
            if begun:
                deals.append(Deal(stages[-1] if stages else None, begun[-1]))
    return deals


def keys_by(by: str | None, teams: Teams) -> Callable[[Deal], str | None] | None:
    """How deals are grouped. What is blank is not known."""
    nobody = (None, None)
    keys: dict[str, Callable[[Deal], str | None]] = {
        "status": lambda deal: deal.image["status"],
        "stage": lambda deal: deal.stage,
        "rep": lambda deal: deal.image["owner"],
        "team": lambda deal: teams.get(deal.image["owner"] or "", nobody)[0],
        "region": lambda deal: teams.get(deal.image["owner"] or "", nobody)[1],
        "customer_region": lambda deal: deal.image["origin"][4],
        "product": lambda deal: deal.image["product"],
        "source": lambda deal: deal.image["origin"][0],
        "quarter": lambda deal: quarter(deal.day),
    }
    return None if by is None else lambda deal: keys[by](deal) or None


def quarter(day: str | None) -> str | None:
    """The quarter of a day."""
    return None if day is None else f"{day[:4]}-Q{(int(day[5:7]) - 1) // 3 + 1}"


def pipeline(deals: list[Deal], asked: Mapping[str, str], key: Callable[[Deal], str | None] | None) -> dict[str, Any]:
    """``/v1/pipeline``: all deals of a currency, and those without an amount."""
    counted = [deal for deal in deals if deal.image["currency"] in (asked["currency"], None)]
    return {
        "totals": states(counted),
        "groups": {name: states(some) for name, some in grouped(counted, key).items()},
        "other_currencies": others(deals, asked),
    }


def expectation(deals: list[Deal], asked: Mapping[str, str], key: Callable[[Deal], str | None] | None) -> dict[str, Any]:
    """``/v1/forecast``: what is won or open in a quarter, and what is left out by which rule."""
    left_out: dict[str, list[Deal]] = {}
    counted = []
    for deal in [deal for deal in deals if deal.image["currency"] in (asked["currency"], None)]:
        if deal.image["state"] == "lost":
            left_out.setdefault("lost", []).append(deal)
        elif deal.day is None:
            left_out.setdefault("no_close_date", []).append(deal)
        elif quarter(deal.day) != asked["period"]:
            left_out.setdefault("outside_period", []).append(deal)
        else:
            counted.append(deal)
    return {
        "totals": brought(counted),
        "groups": {name: brought(some) for name, some in grouped(counted, key).items()},
        "excluded": {rule: {"count": len(some), "amount": amount(some)} for rule, some in left_out.items()},
        "other_currencies": others(deals, asked),
    }


def others(deals: list[Deal], asked: Mapping[str, str]) -> dict[str, Any]:
    """What is in other currencies, whatever its dates."""
    found = {deal.image["currency"] for deal in deals} - {asked["currency"], None}
    return {currency: states([deal for deal in deals if deal.image["currency"] == currency]) for currency in found}


def grouped(deals: list[Deal], key: Callable[[Deal], str | None] | None) -> dict[str | None, list[Deal]]:
    """The deals by their key."""
    groups: dict[str | None, list[Deal]] = {}
    for deal in deals if key else ():
        groups.setdefault(key(deal), []).append(deal)
    return groups


def states(deals: list[Deal]) -> dict[str, Any]:
    """Open, won and lost."""
    some = {state: [deal for deal in deals if deal.image["state"] == state] for state in ("open", "won", "lost")}
    told = {state: {"count": len(found), "amount": amount(found)} for state, found in some.items()}
    return {**told, "open": {**told["open"], "weighted": weighted(some["open"])}}


def brought(deals: list[Deal]) -> dict[str, Any]:
    """What deals bring that count in a period."""
    told = states(deals)
    return {
        "won": told["won"],
        "open": told["open"],
        "categories": {
            name: text(sum(deal.figures[n] for deal in deals)) for n, name in enumerate(("worst", "likely", "upside"), 1)
        },
        "weighted": weighted(deals),
    }


def amount(deals: list[Deal]) -> str:
    """What deals add up to."""
    return text(sum(deal.figures[0] for deal in deals))


def weighted(deals: list[Deal]) -> str:
    """Amount by probability, rounded once, half to even."""
    return text(round(Fraction(sum(deal.figures[0] * deal.image["probability"] for deal in deals), 100)))


def text(minor: int) -> str:
    """Cents as a decimal."""
    return f"{'-' if minor < 0 else ''}{abs(minor) // 100}.{abs(minor) % 100:02d}"


def _figures(answer: Answer) -> dict[str, Any]:
    """The figures of an answer without their names for people."""

    def of(body: Mapping[str, Any]) -> dict[str, Any]:
        return {name: body[name] for name in ("open", "won", "lost", "categories", "weighted") if name in body}

    body = answer.body
    return {
        "totals": body.get("totals") or of(body),
        "groups": {group["key"]: of(group) for group in body["groups"]},
        "excluded": {each["rule"]: {"count": each["count"], "amount": each["amount"]} for each in body.get("excluded", ())},
        "other_currencies": {each["currency"]: of(each) for each in body["other_currencies"]},
    }
