"""The topology of routing, whole:

    crm.lifecycle.v1 ──> match ──> routing.request.v1 (one partition) ──> desk ──> crm.assignment.v1

Two agents hand over what they read. Each hop takes in what was handed over, all that is there in one transaction of its worker, and
relays what its worker committed. A timer reads the reference topics and the files that feed them; another one sees to it that
the ends of logs are reached. How Faust is made safe for this is in :mod:`services.routing.transport`.
"""  # noqa: D415 - the picture comes first

import asyncio
from pathlib import Path
from typing import Any, Final

from events.topics import LIFECYCLE, REQUEST
from services.routing.floor import Floor
from services.routing.publication import Reference
from services.routing.transport import App, record_of

REFERENCE_SECONDS: Final = 1.0
LOOK_AHEAD_SECONDS: Final = 2.0

_BYTES: Final = {"key_type": bytes, "value_type": bytes, "key_serializer": "raw", "value_serializer": "raw"}


def topology(floor: Floor, reference: Reference, *, servers: str, instance: str | None, folder: Path) -> App:
    """The application: agents, tasks and timers over the hops."""
    app = App(floor, servers=servers, instance=instance, folder=folder)
    matching, desking = floor.lanes[LIFECYCLE.name], floor.lanes[REQUEST.name]

    @app.agent(app.topic(LIFECYCLE.name, **_BYTES), name="match")  # type: ignore[untyped-decorator]
    async def match(stream: Any) -> None:
        """What lifecycle says, to be matched against the rules."""
        async for event in stream.noack().events():
            await matching.put(record_of(event.message), event.ack)

    @app.agent(app.topic(REQUEST.name, **_BYTES), name="desk")  # type: ignore[untyped-decorator]
    async def desk(stream: Any) -> None:
        """Requests, to be decided one after the other."""
        async for event in stream.noack().events():
            await desking.put(record_of(event.message), event.ack)

    @app.task  # type: ignore[untyped-decorator]
    async def work_on_matches() -> None:
        """Match what was handed over, and ask the desk."""
        while not app.should_stop:
            await matching.turn()

    @app.task  # type: ignore[untyped-decorator]
    async def work_on_requests() -> None:
        """Decide what was handed over, and publish the decisions."""
        while not app.should_stop:
            await desking.turn()

    @app.timer(REFERENCE_SECONDS)  # type: ignore[untyped-decorator]
    async def refer() -> None:
        """Rules and directory, as they change."""
        await asyncio.to_thread(reference.look)

    @app.timer(LOOK_AHEAD_SECONDS)  # type: ignore[untyped-decorator]
    async def look_ahead() -> None:
        """Ends of logs that hold no record."""
        for lane in floor.lanes.values():
            await lane.look_ahead(app.position)

    return app
