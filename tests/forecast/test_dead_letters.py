"""Dead letters of forecast: replayed after a fix as long as nothing later was taken in; then the view must be made anew."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from fastapi.testclient import TestClient

from events.bus.database import TRANSIENT
from events.bus.letters.office import Office
from events.bus.rebuild.builder import Wanted
from events.record import Message
from events.topics import LIFECYCLE
from events.values import parse_instant
from services.forecast.api import create_app
from services.forecast.rehearsal import Rehearsal
from services.forecast.taking import Arrival
from tests.forecast.harness import NOW, Forecast, change, image

DAY = "2017-05-01T09:00:00Z"


@pytest.fixture
def http(forecast: Forecast) -> TestClient:
    office = Office(
        forecast.ledger.letters,
        forecast.store.snapshot,
        Rehearsal(forecast.store, forecast.worker.taking.read),
        ends=forecast.bus.end_offsets,
        transient=TRANSIENT,
        now=lambda: parse_instant(NOW),
    )
    app = create_app(
        forecast.store,
        forecast.directories,
        forecast.loop.progress,
        forecast.registry,
        forecast.settings,
        lambda: parse_instant(NOW),
        office,
    )
    return TestClient(app)


def faulty(forecast: Forecast, deal_id: str) -> Callable[[], None]:
    """A fault in taking in a deal, there until the answer is called: what a faulty release would be."""
    sound = forecast.worker.take_in

    def take_in(arrivals: Sequence[Arrival]) -> None:
        if any(deal_id.encode() in (arrival.record.value or b"") for arrival in arrivals):
            raise ZeroDivisionError("a fault in the release")
        sound(arrivals)

    def mend() -> None:
        forecast.worker.take_in = sound  # type: ignore[method-assign]

    forecast.worker.take_in = take_in  # type: ignore[method-assign]
    return mend


def replay(http: TestClient, **body: Any) -> Any:
    return http.post("/v1/dead-letters/replay", json={"actor": "dana", "all": True, **body}).json()


def amount(http: TestClient) -> str:
    return str(http.get("/v1/pipeline").json()["totals"]["open"]["amount"])


def test_a_bug_is_replayed_after_its_fix_and_counts_once(forecast: Forecast, http: TestClient) -> None:
    mend = faulty(forecast, "opportunity:1")
    forecast.deal("acme", "opportunity:1", (DAY, image(100)))
    forecast.deal("beta", "opportunity:2", (DAY, image(1)))
    forecast.settle()
    assert (amount(http), http.get("/readyz").status_code) == ("1.00", 503)
    mend()
    assert [each["verdict"]["outcome"] for each in replay(http, dry_run=True)["letters"]] == ["accepted"]
    assert replay(http)["done"] == 1
    forecast.settle()
    assert replay(http, filter={"number": [1], "state": "any"}, force=True)["done"] == 1
    forecast.settle()
    assert (amount(http), http.get("/readyz").status_code) == ("101.00", 200)
    shown = http.get("/v1/dead-letters/1").json()
    assert ([act["published"] for act in shown["done"]], shown["verdict"]["outcome"]) == ([True, True], "repeated")


def test_what_a_later_version_has_overtaken_is_not_replayed(forecast: Forecast, http: TestClient) -> None:
    mend = faulty(forecast, "opportunity:1")
    forecast.deal("acme", "opportunity:1", (DAY, image(100)))
    forecast.deal("acme", "opportunity:2", (DAY, image(1)))
    forecast.settle()
    mend()
    (told,) = replay(http)["letters"]
    assert (told["done"], told["verdict"]["error"]) == (None, "Overtaken")
    assert told["verdict"]["reason"].endswith("make the view again (handoff rebuild forecast)")


def test_what_was_overtaken_waits_also_if_it_is_forced_until_the_view_has_it(forecast: Forecast, http: TestClient) -> None:
    """The worker would pass over it as one that it has had: no new letter, no amount, and nobody who is told."""
    mend = faulty(forecast, "opportunity:1")
    forecast.deal("acme", "opportunity:1", (DAY, image(100)))
    forecast.deal("acme", "opportunity:2", (DAY, image(1)))
    forecast.settle()
    mend()
    forced = replay(http, force=True)
    assert (forced["done"], forced["letters"][0]["verdict"]["error"]) == (0, "Overtaken")
    forecast.settle()
    assert (forecast.ledger.dead_letters(), amount(http), http.get("/readyz").status_code) == ({"Bug": 1}, "1.00", 503)
    forecast.builder.begin(Wanted("forecast", "dana"))
    while forecast.builder.step() is not None:
        pass
    assert amount(http) == "101.00"


def test_what_cannot_be_read_or_lacks_its_beginning_is_refused_again(forecast: Forecast, http: TestClient) -> None:
    forecast.bus.append(Message(LIFECYCLE.name, b"acme", b"poison", timestamp=0))
    second = forecast.deals("beta", change("opportunity:1", (DAY, image(1))), part=2, parts=2)
    forecast.publish(second)
    forecast.settle()
    told = replay(http)["letters"]
    assert {(each["done"], each["verdict"]["error"]) for each in told} == {(None, "Undecodable"), (None, "Overtaken")}
    later = forecast.deals("beta", change("opportunity:1", (DAY, image(1))), part=3, parts=3)
    assert Rehearsal(forecast.store, forecast.worker.taking.read)(forecast.publish(later)[0]).error == "IncompleteMessage"


def test_a_replay_of_another_service_is_passed_over(forecast: Forecast) -> None:
    """Both read one topic: what routing has replayed is poison here too, and a letter already."""
    forecast.bus.append(Message(LIFECYCLE.name, b"acme", b"poison", (("dl_replay", b"routing/1/1"),), timestamp=0))
    forecast.bus.append(Message(LIFECYCLE.name, b"acme", b"poison", (("dl_replay", b"forecast/1/1"),), timestamp=0))
    forecast.settle()
    assert forecast.ledger.dead_letters() == {"Undecodable": 1}
