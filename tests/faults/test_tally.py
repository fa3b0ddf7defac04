"""The table at the end of a run adds up."""

from tests.faults.plan import Kind
from tests.faults.tally import Tally, in_vain, table


def test_every_fault_is_counted_by_kind_and_target_and_summed_over_the_campaigns() -> None:
    one, other = Tally(layout="sqlite", facts=1500, seconds=61.4), Tally(layout="postgres", facts=700, findings=2)
    one.killed("kafka", busy=True)
    one.killed("lifecycle", busy=False)
    one.killed("kafka")
    other.killed("postgres", busy=True)
    one.happened(Kind.FREEZE, "routing", effect=True)
    other.happened(Kind.FREEZE, "postgres", effect=True)
    other.happened(Kind.FULL_DISK, "postgres", effect=False)
    assert [line.split() for line in table([one, other])] == [
        ["sqlite", "postgres", "all"],
        ["kill", "-9", "3", "1", "4"],
        ["kafka", "2", "0", "2"],
        ["lifecycle", "1", "0", "1"],
        ["postgres", "0", "1", "1"],
        ["while", "all", "work", "2", "1", "3"],
        ["of", "them", "at", "work", "1", "1", "2"],
        ["kafka", "1", "0", "1"],
        ["postgres", "0", "1", "1"],
        ["freeze", "1", "1", "2"],
        ["postgres", "0", "1", "1"],
        ["routing", "1", "0", "1"],
        ["full", "disk", "0", "1", "1"],
        ["postgres", "0", "1", "1"],
        ["facts", "published", "1,500", "700", "2,200"],
        ["customers", "0", "0", "0"],
        ["records", "in", "all", "topics", "0", "0", "0"],
        ["dead", "letters", "0", "0", "0"],
        ["answers", "0", "0", "0"],
        ["seconds", "61", "0", "61"],
        ["findings", "0", "2", "2"],
    ]


def test_what_a_campaign_has_not_done_is_told() -> None:
    tally = Tally(layout="postgres")
    tally.killed("lifecycle", busy=True)
    tally.killed("routing", busy=False)
    tally.killed("forecast")
    tally.happened(Kind.FREEZE, "routing", effect=True)
    tally.happened(Kind.FULL_DISK, "postgres", effect=False)
    assert list(in_vain(tally, [Kind.FREEZE, Kind.REPLACE, Kind.FULL_DISK])) == [
        "campaign: full disk never troubled anybody",
        "campaign: replace never happened",
        "campaign: routing was never killed at work",
    ]
    tally.killed("routing", busy=True)
    tally.happened(Kind.FULL_DISK, "postgres", effect=True)
    assert list(in_vain(tally, [Kind.FREEZE, Kind.FULL_DISK])) == []
