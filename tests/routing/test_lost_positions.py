"""A topic of requests that is another one now, as ``docs/how-to/recover.md`` says: nothing is decided twice, and all is."""

from pathlib import Path

import pytest

from events.bus import PositionLost
from events.bus.memory import drain
from events.published import Profile
from events.topics import LIFECYCLE, REQUEST
from tests.restored_topics import forget, made_anew
from tests.routing.harness import Routing
from tests.routing.words import status_changed

GERMAN = Profile(country="DE")


@pytest.mark.parametrize(("copied", "topics"), [(True, [REQUEST.name]), (False, [REQUEST.name, LIFECYCLE.name])])
def test_what_was_decided_stands_and_what_was_not_is_decided(tmp_path: Path, topics: list[str], *, copied: bool) -> None:
    routing = Routing(tmp_path)
    routing.says(*(status_changed(f"a{number}", 1, profile=GERMAN) for number in range(5)))
    routing.settle()
    decided = routing.log()
    routing.says(*(status_changed(f"b{number}", 1, profile=GERMAN) for number in range(5)))
    drain(routing.loops[:1])  # the desk is asked, and does not answer any more
    assert routing.log() == decided
    made_anew(routing.bus, REQUEST.name, copied=copied)
    routing.crash()
    with pytest.raises(PositionLost, match=r"recover\.md"):
        routing.settle()
    forget(routing.store.ledger.beside, *topics)
    routing.crash()
    routing.reference.refresh()
    routing.settle()
    assert routing.log()[: len(decided)] == decided
    for number in range(5):
        assert len(routing.said(f"a{number}")) == len(routing.said(f"b{number}")) == 1
    assert not routing.letters()
    routing.close()
