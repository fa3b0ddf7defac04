"""The HTTP side of forecast: resources, and nothing that decides anything."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Query, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CollectorRegistry

from events.bus.letters.office import Office
from events.bus.progress import Progress
from events.bus.rebuild.builder import Builder
from events.web import dead_letters, openapi, rebuilds
from events.web.application import application
from events.web.conditional import form_of, respond
from services.forecast import health, problems, spreadsheet
from services.forecast.answers import DealHistory, DealPage, Forecast, Pipeline
from services.forecast.directory import Directories
from services.forecast.inquiry import DirectoryUnknownError, Inquiry
from services.forecast.questions import DealQuery, DealsQuery, ForecastQuery, PipelineQuery
from services.forecast.settings import Settings
from services.forecast.store import Store


def create_app(
    store: Store,
    directories: Directories,
    progress: Callable[[], Progress],
    registry: CollectorRegistry,
    settings: Settings,
    clock: Callable[[], int],
    office: Office | None = None,
    builder: Builder | None = None,
) -> FastAPI:
    """The application. It reads; whatever changes a figure comes through Kafka. ``clock``: nanoseconds since 1970.

    Without an ``office`` there are no dead letters, without a ``builder`` no rebuilds.
    """
    app = application("Handoff forecast")
    problems.install(app)
    app.add_exception_handler(DirectoryUnknownError, _directory_unknown)
    app.include_router(health.router(store, directories, progress, registry))
    if office is not None:
        app.include_router(dead_letters.router(office))
    if builder is not None:
        app.include_router(rebuilds.router(builder))
    inquiry = Inquiry(store, directories, settings, clock)

    @app.get("/v1/pipeline", response_model=None, responses=_answers(Pipeline))
    def pipeline(request: Request, query: Annotated[PipelineQuery, Query()]) -> Response:
        """What is open, won and lost, in all and by group."""
        form = form_of(request, query.format)
        with inquiry.view(query, form) as view:
            return respond(request, view.tag, form, lambda: inquiry.pipeline(view, query), spreadsheet.pipeline_csv)

    @app.get("/v1/forecast", response_model=None, responses=_answers(Forecast))
    def forecast(request: Request, query: Annotated[ForecastQuery, Query()]) -> Response:
        """What a period brings: won by the day it was won, open by its close date."""
        form = form_of(request, query.format)
        with inquiry.view(query, form) as view:
            return respond(request, view.tag, form, lambda: inquiry.forecast(view, query), spreadsheet.forecast_csv)

    @app.get("/v1/deals", response_model=None, responses=_answers(DealPage))
    def deals(request: Request, query: Annotated[DealsQuery, Query()]) -> Response:
        """The deals behind a figure, by customer and id: its parameters list its documents, and `rule` those it leaves out."""
        form = form_of(request, query.format)
        with inquiry.view(query, form) as view:
            return respond(request, view.tag, form, lambda: inquiry.deals(view, query), spreadsheet.deals_csv)

    @app.get("/v1/deals/{deal_id:path}", response_model=None, responses=_answers(DealHistory, csv=False))
    def deal(request: Request, deal_id: str, query: Annotated[DealQuery, Query()]) -> Response:
        """A deal with its history and its documents."""

        def found() -> DealHistory:
            answer = inquiry.deal(view, deal_id, query)
            if answer is None:
                raise HTTPException(404, f"no deal {deal_id!r} of customer {query.customer_id!r} was known then")
            return answer

        with inquiry.view(query, deal_id) as view:
            return respond(request, view.tag, "json", found)

    return app


def _answers(model: type[Any], *, csv: bool = True) -> dict[int | str, dict[str, Any]]:
    content = openapi.CSV[200] if csv else {}
    return {200: {"model": model, **content}, **openapi.UNCHANGED}


async def _directory_unknown(_: Request, error: Exception) -> JSONResponse:
    return problems.problem(503, "teams and regions are not known yet: the directory was not read since the start; try again soon")
