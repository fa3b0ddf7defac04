"""The naive projection: all messages are kept, and every answer is folded anew from those that were known. No database."""

from collections.abc import Iterable, Sequence
from typing import Any

from events.published import DealImage, DealsChanged, Published, StatusChanged
from events.values import parse_instant

History = list[tuple[int, Any]]
"""What holds from an instant on."""


def rewritten(history: History, since: int, states: Iterable[tuple[int, Any]]) -> History:
    """From ``since`` on the history is these states; what held before goes on until the first of them."""
    return [(at, what) for at, what in history if at < since] + [*states]


def holds(history: History, as_of: int) -> Any:
    """What holds at an instant."""
    begun = [what for at, what in history if at <= as_of]
    return begun[-1] if begun else None


class Naive:
    """Answers from the messages of lifecycle, in the order of their versions."""

    def __init__(self, messages: Sequence[Published]) -> None:
        self.messages = sorted(messages, key=lambda message: (message.customer_id, message.version))

    def deals(self, as_of: int, known_at: int) -> dict[tuple[str, str], DealImage]:
        """Every deal that there is, by customer and id."""
        histories: dict[tuple[str, str], History] = {}
        for message in self._known(known_at):
            if not isinstance(message, DealsChanged):
                continue
            for deal in message.deals:
                key = (message.customer_id, deal.deal_id)
                since = -(2**63) if deal.since is None else parse_instant(deal.since)
                states = [(parse_instant(state.effective_at), state.image) for state in deal.states]
                histories[key] = rewritten(histories.get(key, []), since, states)
        found = {key: holds(history, as_of) for key, history in histories.items()}
        return {key: held for key, held in sorted(found.items()) if held is not None}

    def stages(self, as_of: int, known_at: int) -> dict[str, str]:
        """The stage of every record."""
        histories: dict[str, History] = {}
        for message in self._known(known_at):
            if isinstance(message, StatusChanged):
                states = [(parse_instant(state.effective_at), state.stage) for state in message.states]
                since = parse_instant(message.since)
                histories[message.customer_id] = rewritten(histories.get(message.customer_id, []), since, states)
        found = {customer: holds(history, as_of) for customer, history in histories.items()}
        return {customer: held for customer, held in sorted(found.items()) if held is not None}

    def _known(self, known_at: int) -> list[Published]:
        return [message for message in self.messages if parse_instant(message.recorded_at) <= known_at]
