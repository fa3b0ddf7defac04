"""Messages that are wrong, one for every kind of bad input: made of good ones, which arrive too.

Each kind comes a few times a year. A spoiled message is nobody's fact: it must end as one dead letter, with its reason, and change
nothing. Pure; the dice are the caller's.
"""

import json
from collections.abc import Callable, Mapping
from random import Random
from typing import Any, Final

from msgspec.structs import replace

from events.record import Message
from events.topics import MOVED, OPPORTUNITY, ORDER, VALUE_BYTES_MAX
from events.values import NANOSECONDS, format_instant
from handoff.demo.arrival import Arrival
from handoff.demo.worktime import DAY, Year

TIMES_A_YEAR: Final = 3

Spoil = Callable[[Message, int], Message | None]
"""Makes a wrong message of a good one and its instant; None where this one does not lend itself to it."""


class Spoiler:
    """Spoils a message now and then, of each kind ``TIMES_A_YEAR`` times."""

    def __init__(self, rng: Random, year: Year) -> None:
        planned = [(rng.randrange(year.begin, year.end - 30 * DAY), kind) for kind in KINDS for _ in range(TIMES_A_YEAR)]
        self._planned = sorted(planned)
        self._due: list[str] = []

    def after(self, good: Arrival) -> Arrival | None:
        """What comes right after a good message, if that is wrong."""
        while self._planned and self._planned[0][0] <= good.at:
            self._due.append(self._planned.pop(0)[1])
        if not self._lends_itself(good):
            return None
        for kind in self._due:
            spoiled = KINDS[kind](good.message, good.at)
            if spoiled is not None:
                self._due.remove(kind)
                return Arrival(good.at, spoiled)
        return None

    @staticmethod
    def _lends_itself(good: Arrival) -> bool:
        """Clocks make no mistakes, and what is sent twice, or in structured mode, is left alone for the sake of simplicity."""
        return good.sent_once and good.message.topic != MOVED.name and "ce_id" in dict(good.message.headers)


def _undecodable(message: Message, at: int) -> Message:
    return _again(message, value=(message.value or b"")[:-3])


def _without_required_field(message: Message, at: int) -> Message | None:
    data = _data(message)
    required = next((name for name in ("order_id", "quote_id", "opportunity_id") if name in data), None)
    return required and _with_data(message, {name: value for name, value in data.items() if name != required})


def _unknown_type(message: Message, at: int) -> Message:
    """A letter is missing."""
    name, _, version = dict(message.headers)["ce_type"].rpartition(b".")
    return _with_header(_again(message), "ce_type", name[:-1] + b"." + version)


def _naive_time(message: Message, at: int) -> Message:
    return _with_header(_again(message), "ce_time", dict(message.headers)["ce_time"].removesuffix(b"Z"))


def _far_future(message: Message, at: int) -> Message:
    return _with_header(_again(message), "ce_time", format_instant((at + 300 * DAY) // NANOSECONDS * NANOSECONDS).encode())


def _negative_amount(message: Message, at: int) -> Message | None:
    data = _data(message)
    if message.topic == ORDER.name or "amount" not in data:
        return None
    return _with_data(message, {**data, "amount": {**data["amount"], "amount": f"-{data['amount']['amount']}"}})


def _not_a_number(message: Message, at: int) -> Message | None:
    data = _data(message)
    return _with_data(message, {**data, "amount": {**data["amount"], "amount": float("nan")}}) if "amount" in data else None


def _too_large(message: Message, at: int) -> Message:
    return _with_data(message, {**_data(message), "attachment": "0" * VALUE_BYTES_MAX})


def _wrong_key(message: Message, at: int) -> Message:
    return replace(_again(message), key=(message.key or b"") + b"-old")


def _empty_customer(message: Message, at: int) -> Message:
    return replace(_with_data(message, {**_data(message), "customer_id": ""}), key=b"")


def _same_identity(message: Message, at: int) -> Message | None:
    """The same event with another amount: one of the two is the fact, the other a dead letter."""
    data = _data(message)
    if message.topic != OPPORTUNITY.name or "amount" not in data:
        return None
    other = {**data["amount"], "amount": f"{float(data['amount']['amount']) + 10:.2f}"}
    return replace(message, value=json.dumps({**data, "amount": other}).encode())


KINDS: Final[Mapping[str, Spoil]] = {
    "undecodable": _undecodable,
    "without a required field": _without_required_field,
    "unknown type": _unknown_type,
    "naive time": _naive_time,
    "far-future time": _far_future,
    "negative amount": _negative_amount,
    "NaN": _not_a_number,
    "above the size limit": _too_large,
    "key is not the customer id": _wrong_key,
    "empty customer id": _empty_customer,
    "same identity, other data": _same_identity,
}


def _data(message: Message) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(message.value or b"{}")
    return data


def _with_data(message: Message, data: Mapping[str, Any]) -> Message:
    return _again(message, value=json.dumps(data, ensure_ascii=False).encode())


def _again(message: Message, value: bytes | None = None) -> Message:
    """The same with an identity of its own."""
    again = replace(message, value=message.value if value is None else value)
    return _with_header(again, "ce_id", dict(message.headers)["ce_id"] + b"/spoiled")


def _with_header(message: Message, name: str, value: bytes) -> Message:
    return replace(message, headers=tuple((each, value if each == name else old) for each, old in message.headers))
