"""From a question to its answer: one snapshot of the database, one moment, the directory in force then.

The same code answers for now and for any past instant; only the moment differs.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice, takewhile
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

import msgspec

from events.published import DealImage
from events.values import format_instant
from events.web.conditional import etag
from events.web.cursors import cursor_of
from services.forecast import answers
from services.forecast.answers import DealEntry, DealHistory, DealPage, Forecast, HistoricState, Pipeline, Share, amount_of, text_of
from services.forecast.directory import Directories, Reps
from services.forecast.domain import Question, Segment, prevailing_currency, rule, segment_of, shares, summarize
from services.forecast.figures import Figures, Listed, Segments
from services.forecast.periods import FOREVER, Period, parse_period
from services.forecast.problems import InvalidParameterError
from services.forecast.questions import Asked, DealQuery, DealsQuery, ForecastQuery, PipelineQuery, place_of
from services.forecast.settings import Settings
from services.forecast.store import Moment, Store


class DirectoryUnknownError(Exception):
    """Teams and regions are asked for, and the directory was not read yet."""


class View(NamedTuple):
    """What an answer is made from. ``head``: the fields that every answer begins with. ``tag``: changes when the answer may."""

    figures: Figures
    moment: Moment
    reps: Reps
    head: dict[str, Any]
    tag: str


class Inquiry:
    """Answers questions. ``clock``: nanoseconds since 1970."""

    def __init__(self, store: Store, directories: Directories, settings: Settings, clock: Callable[[], int]) -> None:
        self._store = store
        self._directories = directories
        self._currency: Final = settings.currency
        self._minimum: Final = settings.minimum_probability
        self._zone: Final = settings.zone
        self._clock = clock
        self._segments = Segments()

    @contextmanager
    def view(self, asked: Asked, *more: object) -> Iterator[View]:
        """The snapshot from which a question is answered. ``more``: what else makes the answer another one."""
        by = getattr(asked, "by", None)
        if by in ("team", "region") and self._directories.position is None:
            raise DirectoryUnknownError
        moment = asked.moment(self._clock(), self._zone)
        reps = self._directories.at(moment.as_of)
        with self._store.snapshot() as cursor:
            figures = Figures(cursor)
            position, due = figures.position(), figures.last_due(moment.as_of)
            head = {
                "as_of": format_instant(moment.as_of),
                "known_at": None if asked.known_at is None else format_instant(moment.known_at),
                "position": position,
            }
            question = asked.model_dump_json()
            about = (figures.generation, position, due, self._directories.position, reps.version)
            tag = etag(type(asked).__name__, question, *about, *more)
            yield View(figures, moment, reps, head, tag)

    def pipeline(self, view: View, query: PipelineQuery) -> Pipeline:
        """All deals, whatever their dates."""
        segments = self._segments.of(view.figures, view.moment, query.by)
        currency = query.currency or self._currency or _prevailing(segments)
        summary = summarize(segments, Question(currency), answers.grouping(query.by, view.reps))
        return answers.pipeline(view.head, summary, currency, query.by, view.reps)

    def forecast(self, view: View, query: ForecastQuery) -> Forecast:
        """What counts in a period, and how much a rule leaves out."""
        period = parse_period(query.period)
        segments = self._segments.of(view.figures, view.moment, query.by, period)
        currency = query.currency or self._currency or _prevailing(segments)
        question = self._question(currency, period, query.min_probability)
        summary = summarize(segments, question, answers.grouping(query.by, view.reps))
        minimum = question.minimum_probability

        def listed_at(reason: str) -> str:
            asked = {"period": period.name, "min_probability": minimum, "rule": reason, "as_of": view.head["as_of"]}
            known = {"known_at": view.head["known_at"], "currency": currency}
            return "/v1/deals?" + urlencode({**asked, **{name: value for name, value in known.items() if value}})

        return answers.forecast(view.head, summary, currency, query.by, view.reps, period, minimum, listed_at)

    def deals(self, view: View, query: DealsQuery) -> DealPage:
        """The documents behind a figure: the deals to which its parameters lead, a page of them."""
        if query.key is not None and query.by is None:
            raise InvalidParameterError("key", "needs `by`: it names a group")
        if query.min_probability is not None and query.period is None:
            raise InvalidParameterError("min_probability", "needs `period`: it is a rule of forecasts")
        currency = query.currency or self._currency
        currency = currency or _prevailing(self._segments.of(view.figures, view.moment, None))
        period = parse_period(query.period) if query.period else None
        entries = self._entries(view, query, self._question(currency, period, query.min_probability))
        page = list(islice(entries, query.limit + 1))
        more = len(page) > query.limit
        last = page[query.limit - 1] if more else None
        following = cursor_of(last.customer_id, last.deal_id) if last else None
        return DealPage(**view.head, currency=currency, deals=page[: query.limit], next=following)

    def deal(self, view: View, deal_id: str, query: DealQuery) -> DealHistory | None:
        """A deal's history as it is known; None where no such deal is known."""
        rows = view.figures.history(query.customer_id, deal_id, view.moment.known_at)
        if not rows:
            return None
        history = [
            HistoricState(
                valid_from=format_instant(begin),
                valid_to=None if end == FOREVER else format_instant(end),
                recorded_at=format_instant(recorded),
                image=msgspec.json.decode(image),
            )
            for begin, end, recorded, image in rows
        ]
        now = next((image for begin, end, _, image in rows if begin <= view.moment.as_of < end), None)
        return DealHistory(
            **view.head,
            customer_id=query.customer_id,
            deal_id=deal_id,
            image=None if now is None else msgspec.json.decode(now),
            shares=[] if now is None else _shares(msgspec.json.decode(now, type=DealImage)),
            history=history,
        )

    def _question(self, currency: str | None, period: Period | None, minimum: int | None) -> Question:
        return Question(currency, period, self._minimum if minimum is None else minimum)

    def _entries(self, view: View, query: DealsQuery, question: Question) -> Iterator[DealEntry]:
        after = place_of(query.after) if query.after else (query.customer_id or "", "")
        listed: Iterator[Listed] = view.figures.deals(view.moment, query.by, after)
        if query.customer_id is not None:
            if after[0] != query.customer_id:
                raise InvalidParameterError("after", "is a cursor of another customer's deals")
            listed = takewhile(lambda each: each.customer_id == query.customer_id, listed)
        group_of = answers.grouping(query.by, view.reps)
        for each in listed:
            segment = segment_of(each.deal, each.group)
            verdict = rule(segment, question)
            key = group_of(segment) if group_of else None
            if (
                (query.rule is None or verdict == query.rule)
                and (query.key is None or key == (query.key or None))
                and (query.state is None or each.deal.state == query.state)
            ):
                yield _entry(each, key, verdict)


def _prevailing(segments: list[Segment]) -> str | None:
    counts: dict[str, int] = {}
    for segment in segments:
        if segment.currency is not None:
            counts[segment.currency] = counts.get(segment.currency, 0) + segment.deals
    return prevailing_currency(counts)


def _entry(listed: Listed, key: str | None, verdict: str) -> DealEntry:
    deal = listed.deal
    return DealEntry(
        customer_id=listed.customer_id,
        deal_id=listed.deal_id,
        state=deal.state,
        status=deal.status,
        probability=deal.probability,
        currency=deal.currency,
        amount=amount_of(deal),
        owner=deal.owner,
        close_date=listed.close_date,
        closed_at=None if listed.closed_at is None else format_instant(listed.closed_at),
        date=deal.day,
        key=key,
        rule=verdict,
    )


def _shares(image: DealImage) -> list[Share]:
    amount = image.amounts.amount
    if amount is None:
        return []
    members = zip(image.splits, shares(amount.minor, image.splits), strict=True)
    return [
        Share(rep_id=split.rep_id, percent=split.percent, amount=text_of(part, amount.currency)) for split, (_, part) in members
    ]
