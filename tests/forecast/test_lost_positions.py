"""A log of lifecycle that is no longer what was read, as ``docs/how-to/recover.md`` says: the view stands, and goes on."""

from collections.abc import Callable

import pytest

from events.bus import PositionLost
from events.record import TopicPartition
from events.topics import LIFECYCLE
from tests.forecast.harness import SHARDS, Forecast, image
from tests.restored_topics import forget, made_anew

JAN, FEB = "2018-01-01T00:00:00Z", "2018-02-01T00:00:00Z"


def sell(forecast: Forecast, amount: int, at: str) -> None:
    for number in range(8):
        forecast.deal(f"customer-{number}", f"opportunity:{number}", (at, image(amount + number)))


def made_again(forecast: Forecast) -> None:
    made_anew(forecast.bus, LIFECYCLE.name, copied=False)


def restored(forecast: Forecast) -> None:
    made_anew(forecast.bus, LIFECYCLE.name, copied=True)


def lost_its_tail(forecast: Forecast) -> None:
    for shard in range(SHARDS):
        log = forecast.bus.log(TopicPartition(LIFECYCLE.name, shard))
        log.cut(max(log.begin, log.end - 1))


def begins_late(forecast: Forecast) -> None:
    sell(forecast, 300, JAN)  # is deleted unread
    for shard in range(SHARDS):
        log = forecast.bus.log(TopicPartition(LIFECYCLE.name, shard))
        log.truncate(log.end)


def positions_deleted(forecast: Forecast) -> None:
    forget(forecast.store.begin, LIFECYCLE.name)


def set_to_the_begin(forecast: Forecast) -> None:
    """As the page says where the topic cannot be restored; to delete the positions does not help."""
    positions_deleted(forecast)
    forecast.crash()
    with pytest.raises(PositionLost, match="was read up to 0, but begins at"):
        forecast.settle()
    with forecast.store.begin() as cursor:
        for shard in range(SHARDS):
            begin = forecast.bus.log(TopicPartition(LIFECYCLE.name, shard)).begin
            cursor.execute("UPDATE position SET next = ? WHERE topic = ? AND part = ?", (begin, LIFECYCLE.name, shard))


@pytest.mark.parametrize(
    ("loss", "mend"),
    [
        (made_again, positions_deleted),
        (restored, positions_deleted),
        (lost_its_tail, positions_deleted),
        (begins_late, set_to_the_begin),
    ],
)
def test_the_view_is_kept_and_goes_on(
    forecast: Forecast, loss: Callable[[Forecast], None], mend: Callable[[Forecast], None]
) -> None:
    sell(forecast, 100, JAN)
    forecast.settle()
    before = forecast.dump()
    loss(forecast)
    forecast.crash()
    with pytest.raises(PositionLost, match=r"recover\.md"):
        forecast.settle()
    mend(forecast)
    forecast.crash()
    forecast.settle()
    assert forecast.dump() == before
    sell(forecast, 200, FEB)
    forecast.settle()
    opened = forecast.get("/v1/pipeline", as_of=FEB)["totals"]["open"]
    assert (opened["count"], float(opened["amount"])) == (8, sum(range(200, 208)))
