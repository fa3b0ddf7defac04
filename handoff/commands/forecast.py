"""``handoff forecast``: what is open, won and lost, and what a period brings, as the forecast service tells it."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer

from handoff.client import Services
from handoff.console import day_or_time, figure, say, say_json, table
from handoff.options import Json
from handoff.settings import load

PIPELINE_BY: Final = "quarter"
"""How the pipeline is grouped unless something else is asked for."""

AsOf = Annotated[str | None, typer.Option(help="What held then: a day (through its end) or an instant; without it now.")]
KnownAt = Annotated[str | None, typer.Option(help="As it was known then: a day or an instant; without it all that is known.")]
PeriodOption = Annotated[str | None, typer.Option(help="The forecast of a year, a quarter or a month: 2017, 2017-Q2, 2017-05.")]
By = Annotated[
    str | None,
    typer.Option(
        help="Group by rep, team or region; without --period also by stage, status, customer_region, product, source, quarter."
    ),
]
Currency = Annotated[str | None, typer.Option(help="The currency (ISO 4217); without it the one that most deals have.")]


def forecast(
    as_of: AsOf = None,
    period: PeriodOption = None,
    by: By = None,
    known_at: KnownAt = None,
    currency: Currency = None,
    as_json: Json = False,
) -> int:
    """Show the pipeline (open, won, lost), or with --period the forecast of a period."""
    asked = {"as_of": as_of, "known_at": known_at, "currency": currency}
    with Services(load()) as services:
        if period is None:
            answer = services.get("forecast", "/v1/pipeline", by=by or PIPELINE_BY, **asked)
        else:
            answer = services.get("forecast", "/v1/forecast", period=period, by=by, **asked)
    if as_json:
        say_json(answer)
    elif period is None:
        _pipeline(answer)
    else:
        _expectation(answer)
    return 0


def _pipeline(answer: Mapping[str, Any]) -> None:
    say(f"Pipeline as of {_moment(answer)}", style="bold")
    columns = ("open", "amount", "weighted", "won", "amount won", "lost", "amount lost")
    rows = [[group["label"], *_states(group)] for group in answer["groups"]]
    table((answer["by"], *columns), [*rows, ["all", *_states(answer["totals"])]], right=columns)
    _left_out(answer)


def _states(found: Mapping[str, Any]) -> list[object]:
    opened, won, lost = found["open"], found["won"], found["lost"]
    return [
        opened["count"],
        figure(opened["amount"]),
        figure(opened["weighted"]),
        won["count"],
        figure(won["amount"]),
        lost["count"],
        figure(lost["amount"]),
    ]


def _expectation(answer: Mapping[str, Any]) -> None:
    say(f"Forecast of {answer['period']} ({answer['first']} to {answer['last']}) as of {_moment(answer)}", style="bold")
    columns = ("won", "amount won", "open", "worst", "likely", "upside", "weighted")
    rows = [[group["label"], *_prospects(group)] for group in answer["groups"]]
    table((answer["by"] or "", *columns), [*rows, ["all", *_prospects(answer)]], right=columns)
    for rule in answer["excluded"]:
        say(f"not counted: {rule['count']} deals of {figure(rule['amount'])}: {rule['explanation']}")
    _left_out(answer)


def _prospects(found: Mapping[str, Any]) -> list[object]:
    categories = [figure(found["categories"][name]) for name in ("worst", "likely", "upside")]
    won, opened = found["won"], found["open"]
    return [won["count"], figure(won["amount"]), opened["count"], *categories, figure(found["weighted"])]


def _moment(answer: Mapping[str, Any]) -> str:
    known = f", as known at {day_or_time(answer['known_at'])}" if answer["known_at"] else ""
    return f"{day_or_time(answer['as_of'])}{known}, in {answer['currency'] or 'no currency yet'}"


def _left_out(answer: Mapping[str, Any]) -> None:
    """What the figures do not hold."""
    if answer["without_amount"]:
        say(f"{answer['without_amount']} deals have no amount")
    for other in answer["other_currencies"]:
        counts = sum(other[state]["count"] for state in ("open", "won", "lost"))
        say(f"{counts} deals are in {other['currency']}: ask with --currency {other['currency']}")
