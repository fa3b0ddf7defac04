"""Weighted round robin: exact shares, whole rounds, joiners and leavers."""

from collections import Counter
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from services.routing.domain.pick import Cursor, Picked, pick
from services.routing.domain.rule_set import Member

weights = st.lists(st.integers(1, 12), min_size=1, max_size=8)


def pool(*members: str | tuple[str, int]) -> list[Member]:
    return [Member(each) if isinstance(each, str) else Member(*each) for each in members]


def turns(
    members: list[Member], count: int, cursor: Cursor | None = None, absent: tuple[str, ...] = ()
) -> tuple[list[str], Cursor]:
    chosen, cursor = [], cursor or {}
    for _ in range(count):
        picked = pick(members, cursor, dict.fromkeys(absent, "inactive"), {})
        assert picked.rep_id is not None
        chosen.append(picked.rep_id)
        cursor = picked.after
    return chosen, cursor


def test_equal_weights_take_turns_in_the_order_of_the_list() -> None:
    assert turns(pool("a", "b", "c"), 7)[0] == ["a", "b", "c", "a", "b", "c", "a"]


def test_a_weight_of_two_is_two_turns_in_every_round() -> None:
    assert turns(pool(("a", 2), "b"), 6)[0] == ["a", "b", "a", "a", "b", "a"]


def test_who_is_passed_over_for_one_record_is_next() -> None:
    members = pool("a", "b")
    picked = pick(members, {}, {}, {"a": "has rejected this record"})
    assert picked.rep_id == "b"
    assert turns(members, 3, picked.after)[0] == ["a", "a", "b"]


def test_a_late_joiner_starts_at_the_level_of_the_others() -> None:
    _, cursor = turns(pool("a", "b"), 100)
    assert Counter(turns(pool("a", "b", "c"), 30, cursor)[0]) == {"a": 10, "b": 10, "c": 10}


def test_who_comes_back_does_not_catch_up() -> None:
    members = pool("a", "b")
    _, cursor = turns(members, 10)
    away, cursor = turns(members, 50, cursor, absent=("b",))
    assert set(away) == {"a"}
    assert Counter(turns(members, 20, cursor)[0]) == {"a": 10, "b": 10}


def test_nobody() -> None:
    assert pick(pool("a"), {"a": "3"}, {"a": "inactive"}, {}) == Picked(
        None, pick(pool("a"), {"a": "3"}, {"a": "inactive"}, {}).members, {"a": "3"}, {"a": "3"}
    )


@given(weights, st.integers(0, 200))
def test_everybody_is_within_one_record_of_the_level(listed: list[int], count: int) -> None:
    """However many records: at the pool's level L a member of weight w has had between L*w and L*w + 1."""
    members = [Member(f"m{number}", weight) for number, weight in enumerate(listed)]
    chosen, cursor = turns(members, count)
    had = Counter(chosen)
    level = min((Fraction(pointer) for pointer in cursor.values()), default=Fraction(0))
    for member in members:
        assert level * member.weight <= had[member.rep_id] <= level * member.weight + 1


@given(weights, st.integers(1, 5))
def test_after_whole_rounds_the_shares_are_exact(listed: list[int], rounds: int) -> None:
    members = [Member(f"m{number}", weight) for number, weight in enumerate(listed)]
    had = Counter(turns(members, rounds * sum(listed))[0])
    assert had == {member.rep_id: rounds * member.weight for member in members}


@given(st.integers(1, 12), st.integers(1, 100))
def test_equal_members_are_never_more_than_one_record_apart(size: int, count: int) -> None:
    members = [Member(f"m{number}") for number in range(size)]
    had = Counter(turns(members, count)[0])
    assert max(had.values()) - min(had[member.rep_id] for member in members) <= 1


@given(weights, st.data())
def test_fair_to_those_who_are_there(listed: list[int], data: st.DataObject) -> None:
    """Whoever comes and goes: of two members who are both there all the time, neither gets ahead of its share."""
    members = [Member(f"m{number}", weight) for number, weight in enumerate([*listed, 3, 5])]
    always = members[-2:]
    had: Counter[str] = Counter()
    cursor: Cursor = {}
    for _ in range(data.draw(st.integers(0, 60))):
        away = data.draw(st.sets(st.sampled_from([m.rep_id for m in members[:-2]])))
        picked = pick(members, cursor, dict.fromkeys(away, "inactive"), {})
        assert picked.rep_id not in away
        had[str(picked.rep_id)] += 1
        cursor = picked.after
    per_weight = [Fraction(had[member.rep_id], member.weight) for member in always]
    assert abs(per_weight[0] - per_weight[1]) <= Fraction(1, 3)
