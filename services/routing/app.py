"""The topology of routing, whole:

    crm.lifecycle.v1 ──> match ──> routing.request.v1 (one partition) ──> desk ──> crm.assignment.v1

Two agents take batches, each into one transaction of its worker; a timer relays what the desk committed; another one reads the
reference topics and the files that feed them. How Faust is made safe for this is in :mod:`services.routing.transport`.
"""  # noqa: D415 - the picture comes first

import asyncio
import logging
from pathlib import Path
from typing import Any, Final

from events.bus import BusError
from events.topics import LIFECYCLE, REQUEST
from services.routing.publication import Reference
from services.routing.transport import App, Floor

log = logging.getLogger(__name__)

BATCH: Final = 500
BATCH_SECONDS: Final = 0.005
"""How often Faust looks whether a batch is there: latency against idle work."""
RELAY_SECONDS: Final = 0.05
REFERENCE_SECONDS: Final = 1.0


def topology(floor: Floor, reference: Reference, *, servers: str, instance: str | None, folder: Path) -> App:
    """The application: agents and timers over the hops."""
    app = App(floor, servers=servers, instance=instance, folder=folder)
    raw: dict[str, Any] = {"key_type": bytes, "value_type": bytes, "key_serializer": "raw", "value_serializer": "raw"}

    @app.agent(app.topic(LIFECYCLE.name, **raw), name="match")  # type: ignore[untyped-decorator]
    async def match(stream: Any) -> None:
        """What lifecycle says, matched against the rules."""
        async for batch in stream.noack_take(BATCH, within=BATCH_SECONDS):
            await floor.take(LIFECYCLE.name, batch, app.consumer_generation_id)
            for event in batch:
                event.ack()

    @app.agent(app.topic(REQUEST.name, **raw), name="desk")  # type: ignore[untyped-decorator]
    async def desk(stream: Any) -> None:
        """Requests, decided one after the other."""
        async for batch in stream.noack_take(BATCH, within=BATCH_SECONDS):
            await floor.take(REQUEST.name, batch, app.consumer_generation_id)
            for event in batch:
                event.ack()

    @app.timer(RELAY_SECONDS)  # type: ignore[untyped-decorator]
    async def relay() -> None:
        """Decisions out, acknowledged numbers in."""
        await floor.turn()

    @app.timer(REFERENCE_SECONDS)  # type: ignore[untyped-decorator]
    async def refer() -> None:
        """Rules and directory, as they change."""
        try:
            await asyncio.to_thread(reference.refresh)
        except BusError as error:
            log.warning("rules and directory were not looked at: %s", error)

    return app
