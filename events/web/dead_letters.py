"""``/v1/dead-letters``: find what a service could not take in, see it byte for byte, replay it, drop it. The same in every service.

What is asked of the letters themselves is in :mod:`events.bus.letters`; here it is read from a request, and told.
"""

from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import APIRouter, HTTPException, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response, StreamingResponse
from msgspec.json import encode
from msgspec.structs import replace
from pydantic import BaseModel

from events.bus.letters import selection
from events.bus.letters.office import Office, Round
from events.bus.letters.selection import Line
from events.bus.progress import named
from events.web.conditional import MEDIA_TYPES, etag, form_of, unchanged
from events.web.letter_answers import COLUMNS, TEXTS, group, letter, line, name, verdict
from events.web.letter_questions import (
    NUMBER_MAX,
    GroupsQuery,
    LetterDrop,
    LetterReplay,
    LettersQuery,
    OneQuery,
)
from events.web.openapi import BYTES, CSV, UNCHANGED, Answers
from events.web.spreadsheet import csv_of, safe

CSV_PAGE: Final = 1000
NOTED: Final[Answers] = {
    202: {"description": "Noted, and in Kafka a moment later", "content": {"application/json": {"schema": {}}}}
}
Number = Annotated[int, Path(ge=1, le=NUMBER_MAX)]


def router(office: Office) -> APIRouter:
    """The resources."""
    routes = APIRouter(prefix="/v1/dead-letters", tags=["dead letters"])

    @routes.get("", response_model=None, responses=CSV | UNCHANGED)
    def listed(request: Request, query: Annotated[LettersQuery, Query()]) -> Response:
        """Dead letters, newest first: those that wait, unless `state` says which. In CSV it is the whole list."""
        form = form_of(request, query.format)
        return _conditional(office, request, query, lambda: _csv(office, query) if form == "csv" else _page(office, query))

    @routes.get("/groups", response_model=None)
    def groups(query: Annotated[GroupsQuery, Query()]) -> Response:
        """How many there are of each kind: by reason, error, topic, source, type, customer, day or state.

        Reasons that differ only in the names, numbers and times that they quote are one. `unpublished` says how many replays of the
        service are not in Kafka yet.
        """
        return _groups(office, query)

    @routes.get("/replays", response_model=None)
    def replays() -> Response:
        """How far what was replayed is: how much is not in Kafka yet, and up to where its logs are taken in, by whichever worker.

        A replay is decided when nothing is `unpublished` and the `position` of its log is where the log ended then.
        """
        return _json(_underway(office))

    @routes.get("/{number}", response_model=None)
    def one(number: Number, query: Annotated[OneQuery, Query()]) -> Response:
        """A dead letter with its bytes, what was done about it, and what would become of it if it were replayed now."""
        return _json(_opened(office, number, check=query.check))

    @routes.get("/{number}/value", response_model=None, response_class=Response, responses=BYTES)
    def value(number: Number) -> Response:
        """The value of the record, byte for byte."""
        with office.reading() as cursor:
            record = selection.record_of(cursor, number)
        if record is None or record.value is None:
            raise _unknown(office, number) if record is None else HTTPException(HTTPStatus.NOT_FOUND, "the record has no value")
        headers = {"Content-Disposition": f'attachment; filename="{office.service}-{number}.bin"'}
        return Response(record.value, media_type="application/octet-stream", headers=headers)

    @routes.post("/replay", response_model=None, responses=NOTED)
    def replay(asked: LetterReplay) -> Response:
        """Publish the letters that are meant once more, each to the log that it came from, oldest first.

        The bytes are the original ones; a header `dl_replay` says whose replay it is. Only what would be taken in now is replayed;
        `force` replays also what would be refused again, which becomes another letter; not so `TooLarge` and `Overtaken`, of which
        nothing would come: those stay, and their verdict says the way out. What is replayed is noted in the database when this
        answers (202), and in Kafka a moment later: `GET /v1/dead-letters/replays` says when. At most 1,000 letters at a time;
        `next` goes on.
        """
        chosen, after = _meant(office, asked)
        done = office.replay(
            chosen,
            actor=asked.actor,
            why=asked.reason or "",
            force=asked.force,
            dry_run=asked.dry_run,
            after=after,
            limit=asked.limit,
        )
        return _decided(office, asked, chosen, done)

    @routes.post("/drop", response_model=None)
    def drop(asked: LetterDrop) -> Response:
        """Note that nothing is to be done about the letters that are meant. They can still be found and replayed, for a while."""
        chosen, after = _meant(office, asked)
        done = office.drop(
            chosen,
            actor=asked.actor,
            why=asked.reason,
            dry_run=asked.dry_run,
            after=after,
            limit=asked.limit,
        )
        return _decided(office, asked, chosen, done)

    return routes


def _conditional(office: Office, request: Request, query: BaseModel, answer: Callable[[], Response]) -> Response:
    """304 where nothing has changed since the client asked the same."""
    with office.reading() as cursor:
        tag = etag(office.service, selection.stamp(cursor), query.model_dump(), form_of(request, getattr(query, "format", None)))
    headers = {"ETag": tag, "Cache-Control": "no-cache", "Vary": "Accept"}
    if unchanged(request, tag):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    response = answer()
    response.headers.update(headers)
    return response


def _page(office: Office, query: LettersQuery) -> Response:
    chosen, rising = query.selection(), query.order == "asc"
    with office.reading() as cursor:
        lines = selection.page(cursor, chosen, after=query.after, limit=query.limit + 1, rising=rising)
        counted = {"count": selection.total(cursor, chosen)} if query.count else {}
    shown = lines[: query.limit]
    following = shown[-1].number if len(lines) > query.limit else None
    return _json({"dead_letters": [line(office.service, each) for each in shown], "next": following, **counted})


def _csv(office: Office, query: LettersQuery) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{office.service}-dead-letters.csv"'}
    return StreamingResponse(_csv_lines(office, query), media_type=MEDIA_TYPES["csv"], headers=headers)


def _csv_lines(office: Office, query: LettersQuery) -> Iterator[str]:
    yield csv_of(COLUMNS, [])
    chosen, after = query.selection(), query.after
    while True:
        with office.reading() as cursor:
            lines = selection.page(cursor, chosen, after=after, limit=CSV_PAGE, rising=query.order == "asc")
        yield csv_of(None, [_row(office, each) for each in lines])
        if len(lines) < CSV_PAGE:
            return
        after = lines[-1].number


def _row(office: Office, each: Line) -> list[Any]:
    said = line(office.service, each)
    return [safe(said[name]) if name in TEXTS else said[name] for name in COLUMNS]


def _groups(office: Office, query: GroupsQuery) -> Response:
    chosen = query.selection()
    with office.reading() as cursor:
        found = selection.groups(cursor, chosen, query.by, query.limit + 1)
        count, unpublished = selection.total(cursor, chosen), selection.unpublished(cursor)
    groups = [group(query.by, each) for each in found[: query.limit]]
    return _json({"by": query.by, "groups": groups, "more": len(found) > query.limit, "count": count, "unpublished": unpublished})


def _underway(office: Office) -> dict[str, Any]:
    found = office.underway()
    positions, ends = named(found.positions), named(found.ends)
    logs = [{"log": log, "position": position, "end": ends.get(log)} for log, position in positions.items()]
    return {"unpublished": found.unpublished, "logs": logs}


def _opened(office: Office, number: int, *, check: bool) -> dict[str, Any]:
    with office.reading() as cursor:
        lines = selection.page(cursor, selection.Selection(number=(number,)), limit=1)
        record = selection.record_of(cursor, number)
        if not lines or record is None:
            raise _unknown(office, number)
        done, became = selection.acts_of(cursor, number), selection.replays_of(cursor, number)
    judged = office.verdict(number, record) if check else None
    return letter(office.service, lines[0], record, done, became, judged)


def _unknown(office: Office, number: int) -> HTTPException:
    return HTTPException(HTTPStatus.NOT_FOUND, f"{office.service} has no dead letter {number}: it never had, or it is forgotten")


def _meant(office: Office, asked: LetterReplay | LetterDrop) -> tuple[selection.Selection, int | None]:
    """The letters that are meant, and after which to go on. None that come meanwhile are: a replay may become another one."""
    if asked.filter.empty and not asked.all:
        detail = "it is empty, so all that wait are meant: say so with `all`, or narrow it down"
        raise RequestValidationError([{"loc": ("body", "filter"), "msg": detail}])
    if asked.after is not None:
        after, newest = map(int, asked.after.split("-"))
        return replace(asked.filter.selection(), up_to=newest), after
    with office.reading() as cursor:
        return replace(asked.filter.selection(), up_to=selection.stamp(cursor)[0] or 0), None


def _decided(office: Office, asked: LetterReplay | LetterDrop, chosen: selection.Selection, about: Round) -> Response:
    decisions = about.decisions
    told = [
        {
            "letter": name(office.service, each.line.number),
            "number": each.line.number,
            "topic": each.line.topic,
            "partition": each.line.partition,
            "state": each.line.state,
            "done": each.done,
            "why": each.why or None,
            "verdict": None if each.verdict is None else verdict(each.verdict),
        }
        for each in decisions
    ]
    done = sum(each.done is not None for each in decisions)
    following = f"{decisions[-1].line.number}-{chosen.up_to}" if about.more and decisions else None
    said = {"dry_run": asked.dry_run, "done": done, "kept": len(decisions) - done, "letters": told, "next": following}
    replayed = any(each.done == "replayed" for each in decisions) and not asked.dry_run
    return _json(said, HTTPStatus.ACCEPTED if replayed else HTTPStatus.OK)


def _json(content: Any, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return Response(encode(content), status, media_type="application/json")
