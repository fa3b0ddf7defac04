"""Answers as CSV: the same numbers as in JSON, one line for the total and one for each group."""

from typing import Any, Final

from events.web.spreadsheet import csv_of, safe
from services.forecast.answers import DealPage, Expectation, Forecast, Pipeline, States

_HEAD: Final = ("as_of", "known_at", "position", "currency")
_STATES: Final = ("open_count", "open_amount", "open_weighted", "won_count", "won_amount", "lost_count", "lost_amount")
_EXPECTATION: Final = (
    *("won_count", "won_amount", "open_count", "open_amount", "open_weighted"),
    *("worst", "likely", "upside", "weighted"),
)
_DEAL: Final = (
    *("customer_id", "deal_id", "state", "status", "probability", "currency", "amount", "owner"),
    *("close_date", "closed_at", "date", "key", "rule"),
)


def pipeline_csv(answer: Pipeline) -> str:
    """Columns: as_of, known_at, position, currency, row (total or group), by, key, label, then the figures."""
    head = [getattr(answer, name) for name in _HEAD]
    rows = [[*head, "total", "", "", "", *_states(answer.totals)]]
    rows += [[*head, "group", answer.by, safe(group.key), safe(group.label), *_states(group)] for group in answer.groups]
    return csv_of((*_HEAD, "row", "by", "key", "label", *_STATES), rows)


def forecast_csv(answer: Forecast) -> str:
    """Columns: as_of, known_at, position, currency, period, row (total or group), by, key, label, then the figures."""
    head = [*(getattr(answer, name) for name in _HEAD), answer.period]
    rows = [[*head, "total", "", "", "", *_expectation(answer)]]
    rows += [[*head, "group", answer.by, safe(group.key), safe(group.label), *_expectation(group)] for group in answer.groups]
    return csv_of((*_HEAD, "period", "row", "by", "key", "label", *_EXPECTATION), rows)


def deals_csv(page: DealPage) -> str:
    """A page of deals."""
    numbers = ("probability", "amount")
    rows = [[getattr(deal, name) if name in numbers else safe(getattr(deal, name)) for name in _DEAL] for deal in page.deals]
    return csv_of(_DEAL, rows)


def _states(states: States) -> list[Any]:
    won, lost, pending = states.won, states.lost, states.open
    return [pending.count, pending.amount, pending.weighted, won.count, won.amount, lost.count, lost.amount]


def _expectation(found: Expectation) -> list[Any]:
    won, pending, categories = found.won, found.open, found.categories
    figures = [won.count, won.amount, pending.count, pending.amount, pending.weighted]
    return [*figures, categories.worst, categories.likely, categories.upside, found.weighted]
