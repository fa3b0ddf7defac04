"""When a process that died is started again."""

from handoff.stack.revival import Revival


def test_a_process_that_dies_once_in_a_while_is_started_again_at_once() -> None:
    revival = Revival()
    assert [revival.died(now) for now in (0.0, 100.0, 200.0, 300.0, 400.0, 500.0)] == [0.2] * 6


def test_each_death_soon_after_another_doubles_the_pause_and_the_fifth_is_the_last() -> None:
    revival = Revival()
    assert [revival.died(now) for now in (0.0, 1.0, 2.0, 3.0, 4.0)] == [0.2, 0.4, 0.8, 1.6, None]


def test_deaths_of_a_minute_ago_count_no_more() -> None:
    revival = Revival()
    for now in (0.0, 20.0, 40.0):
        revival.died(now)
    assert revival.died(59.0) == 1.6
    assert revival.died(61.0) == 1.6  # that at 0 is forgotten
    assert revival.died(62.0) is None
