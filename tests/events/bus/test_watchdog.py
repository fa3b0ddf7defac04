"""The watchdog: it ends what stands still, and nothing else."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from events.bus.progress import Progress, State
from events.bus.watchdog import EXIT_CODE, Watchdog
from events.record import TopicPartition

PLACE, OTHER, DONE = (TopicPartition("in", number) for number in range(3))
RUNNING = Progress(state="running", lag=5, lag_seconds=1, positions={PLACE: 3}, pending=0, error="", degraded=False, rejected=0)


class Scene:
    """A watchdog of 60 s, which looks every second; its clock, the progress and what is done are told."""

    def __init__(self) -> None:
        self.now, self.done = 0.0, 0
        self.progress = RUNNING
        self.dog = Watchdog(lambda: self.progress, 60.0, done=lambda: self.done, end=lambda code: None, monotonic=lambda: self.now)
        self.dog.check()

    def after(self, seconds: int, progress: Progress) -> str:
        self.progress = progress
        return [self._look(1.0) for _ in range(seconds)][-1]

    def frozen(self, seconds: float) -> str:
        """The whole process stands still, and the watchdog with it; what it says then."""
        return self._look(seconds)

    def _look(self, seconds: float) -> str:
        self.now += seconds
        return self.dog.check()


def test_lag_that_does_not_shrink_is_a_standstill() -> None:
    scene = Scene()
    assert not scene.after(60, RUNNING)
    assert scene.after(1, replace(RUNNING, lag=500, lag_seconds=61))  # more to do is no progress


@pytest.mark.parametrize("moved", [replace(RUNNING, positions={PLACE: 4}), replace(RUNNING, pending=1), replace(RUNNING, lag=0)])
def test_what_moves_or_has_nothing_to_do_is_left_alone(moved: Progress) -> None:
    scene = Scene()
    assert not scene.after(59, RUNNING)
    assert not scene.after(1, moved)
    standing = replace(moved, lag=5)
    assert not scene.after(60, standing)
    assert scene.after(1, standing)


@pytest.mark.parametrize("state", ["retrying", "stopped"])
def test_who_knows_why_he_waits_is_left_alone(state: State) -> None:
    scene = Scene()
    assert not scene.after(1000, replace(RUNNING, state=state))
    assert not scene.after(59, RUNNING)
    assert scene.after(61, RUNNING)


def test_a_turn_that_does_much_is_left_alone_as_long_as_something_is_done() -> None:
    scene = Scene()
    for _ in range(10):
        assert not scene.after(50, RUNNING)
        scene.done += 1
    assert not scene.after(61, RUNNING)
    assert scene.after(1, RUNNING)


def test_a_process_that_was_frozen_has_its_time_to_move_again() -> None:
    """As by SIGSTOP, by a container's pause, or with its machine: nobody has looked, and nothing could move."""
    scene = Scene()
    assert not scene.after(10, RUNNING)
    assert not scene.frozen(3600)
    assert not scene.after(40, RUNNING)
    assert scene.after(1, RUNNING), "what the freeze is counted for, as any look that comes late, is ten seconds"


def test_a_consumer_that_never_gets_its_partitions_stands_still() -> None:
    scene = Scene()
    starting = replace(RUNNING, state="starting", lag=0, positions={})
    assert not scene.after(1, starting)
    assert not scene.after(60, starting)
    assert scene.after(1, starting)


def test_one_log_may_wait_for_its_turn_and_not_for_ever() -> None:
    """The others move all the time, with much to do; those in which there is nothing more need not."""
    scene = Scene()

    def after(seconds: int, ours: int, *, unread: int = 5) -> str:
        told = ""
        for _ in range(seconds):
            others = scene.progress.positions.get(OTHER, 0) + 1
            positions = {PLACE: ours, OTHER: others, DONE: 9}
            told = scene.after(
                1, replace(RUNNING, positions=positions, unread={PLACE: unread, OTHER: 100} if unread else {OTHER: 100})
            )
        return told

    assert after(601, 3) == ""
    assert after(1, 3) == "in[0] has not moved for 601 s although there is lag, and others have"
    assert after(601, 4) == ""
    assert after(1, 4, unread=0) == ""
    assert after(601, 4) == ""
    assert after(1, 4) != ""


def test_it_ends_the_process(eventually: Callable[..., None], caplog: pytest.LogCaptureFixture) -> None:
    codes: list[int] = []
    dog = Watchdog(lambda: RUNNING, 0.05, end=codes.append)
    dog.start()
    eventually(lambda: codes == [EXIT_CODE])
    dog.stop()
    assert "nothing has moved for 0 s although there is lag: ending the process" in caplog.text


def test_it_ends_a_process_whose_progress_cannot_be_told(eventually: Callable[..., None], caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> Progress:
        raise PermissionError("not allowed to ask where logs end")

    codes: list[int] = []
    dog = Watchdog(broken, 0.05, end=codes.append)
    dog.start()
    eventually(lambda: codes == [EXIT_CODE])
    dog.stop()
    assert "not allowed to ask" in caplog.text


def test_it_stops_when_it_is_told_to() -> None:
    codes: list[int] = []
    dog = Watchdog(lambda: RUNNING, 1000.0, end=codes.append)
    dog.start()
    dog.stop()
    dog.stop()
    assert codes == []
