"""status-table.yaml: what it says, and everything that can be wrong with it, each with its place."""

from collections.abc import Callable

import msgspec
import pytest

from events.files.yaml_tree import FileError
from events.values import NANOSECONDS
from services.lifecycle.domain.process import STAGE_OF, STATUSES_MAX, SalesProcess
from services.lifecycle.domain.table import DEFAULT, ITEMS_MAX, PROSE_MAX, StatusRow
from services.lifecycle.statuses import BUILT_IN, built_in, read_statuses

DAY = 24 * 3600 * NANOSECONDS
SMALL = """\
statuses:
  - {name: New, stage: lead, probability: 0}
  - {name: Dead, stage: lead, probability: 0}
  - {name: Open, stage: prospect, probability: 20}
  - {name: Offer, stage: prospect, probability: 60}
  - {name: Lost, stage: prospect, probability: 0}
  - {name: Won, stage: customer, probability: 100}
triggers:
  new: New
  qualified: New
  disqualified: Dead
  recycled: Dead
  converted: Open
  opportunity: Open
  quote: Offer
  returned: Offer
  accepted: Offer
  sale: Won
  lost: Lost
"""


def complaints(text: str) -> list[str]:
    """What is said of a file, a line for each problem, without the file's name."""
    with pytest.raises(FileError) as error:
        read_statuses(text.encode())
    return [line.removeprefix("status-table.yaml:") for line in str(error.value).splitlines()]


def test_the_built_in_table_is_the_default_one_with_a_process() -> None:
    table = built_in()
    assert [(row.name, row.stage, row.probability) for row in table.rows] == [
        (row.name, row.stage, row.probability) for row in DEFAULT.rows
    ]
    assert (table.triggers, table.opportunities_enabled) == (DEFAULT.triggers, DEFAULT.opportunities_enabled)
    assert (table.version, table.effective_from) == (DEFAULT.version, DEFAULT.effective_from)
    assert all(row.definition and row.objectives and row.entry_criteria for row in table.rows)
    assert list(table.triggers) == list(STAGE_OF)


def test_the_built_in_file_does_not_say_from_when_on_it_holds() -> None:
    assert read_statuses(BUILT_IN.read_bytes()).effective_from is None


def test_a_file_says_statuses_triggers_and_the_matrix() -> None:
    text = SMALL.replace(
        "  - {name: Open, stage: prospect, probability: 20}\n",
        "  - name: Open\n    stage: prospect\n    probability: 20\n    definition: >\n      Several lines\n      are one text.\n"
        "    objectives: [Understand]\n    entry_criteria: [A project]\n    exit_criteria: [A meeting]\n    actions: [Call]\n"
        "    tools: [Telephone]\n    target_duration: 2w\n    follow_up: 36h\n",
    )
    written = read_statuses(f"effective_from: 2026-07-01\ncomment: ours\nopportunities_enabled: false\n{text}".encode())
    assert written.effective_from == "2026-07-01T00:00:00Z"
    process = written.content
    assert (process.comment, process.opportunities_enabled, process.triggers["quote"]) == ("ours", False, "Offer")
    assert process.statuses[2] == StatusRow(
        "Open",
        "prospect",
        20,
        definition="Several lines are one text.",
        objectives=("Understand",),
        entry_criteria=("A project",),
        exit_criteria=("A meeting",),
        actions=("Call",),
        tools=("Telephone",),
        target_duration=14 * DAY,
        follow_up=DAY + DAY // 2,
    )
    assert process.statuses[3] == StatusRow("Offer", "prospect", 60)
    assert msgspec.json.decode(msgspec.json.encode(process), type=SalesProcess) == process


WRONG: dict[str, tuple[Callable[[str], str], list[str]]] = {
    "nothing": (lambda _: "", ["1:1 the file is empty"]),
    "a list": (lambda _: "- a\n", ["1:1 a mapping (key: value) is expected, not a list"]),
    "nothing in it": (lambda _: "comment: x\n", ["1:1 'statuses' is missing", "1:1 'triggers' is missing"]),
    "an unknown key": (lambda t: f"trigers: {{}}\n{t}", ["1:1 trigers: unknown key (did you mean 'triggers'?)"]),
    "an unknown key of a status": (
        lambda t: t.replace("{name: Open,", "{name: Open, target_durration: 3d,"),
        ["4:18 statuses[2].target_durration: unknown key (did you mean 'target_duration'?)"],
    ),
    "an unknown trigger": (lambda t: f"{t}  loss: Lost\n", ["20:3 triggers.loss: unknown key (did you mean 'lost'?)"]),
    "a missing trigger": (lambda t: t.replace("  quote: Offer\n", ""), ["9:3 triggers: 'quote' is missing"]),
    "a name twice": (
        lambda t: t.replace("name: Offer", "name: OPEN").replace(": Offer", ": OPEN"),
        ["5:12 statuses[3].name: 'OPEN' is there twice: first as statuses[2]"],
    ),
    "a trigger of no status": (
        lambda t: t.replace("quote: Offer", "quote: Ofer"),
        ["15:10 triggers.quote: there is no status 'Ofer' (did you mean 'Offer'?)"],
    ),
    "a sale that makes no customer": (
        lambda t: t.replace("sale: Won", "sale: Offer"),
        ["18:9 triggers.sale: 'Offer' is a status of a prospect: 'sale' needs one of a customer"],
    ),
    "a loss that makes a customer": (
        lambda t: t.replace("lost: Lost", "lost: Won"),
        ["19:9 triggers.lost: 'Won' is a status of a customer: 'lost' needs one of a prospect"],
    ),
    "a new lead that is a prospect": (
        lambda t: t.replace("new: New", "new: Open"),
        ["9:8 triggers.new: 'Open' is a status of a prospect: 'new' needs one of a lead"],
    ),
    "an offer that is lost": (
        lambda t: t.replace("accepted: Offer", "accepted: Lost"),
        ["17:13 triggers.accepted: 'Lost' is the status of what is lost: 'accepted' needs an open one"],
    ),
    "a new lead that is dead": (
        lambda t: t.replace("new: New", "new: Dead"),
        ["9:8 triggers.new: 'Dead' is the status of leads that are disqualified or recycled: 'new' needs another"],
    ),
    "a quote that comes before the opportunity": (
        lambda t: t.replace("opportunity: Open", "opportunity: Offer").replace("quote: Offer", "quote: Open"),
        [
            "15:10 triggers.quote: would never be seen: 'Open' comes before 'Offer' ('opportunity'),"
            " and of both the later one is shown"
        ],
    ),
    "a lost deal with a probability": (
        lambda t: t.replace("Lost, stage: prospect, probability: 0", "Lost, stage: prospect, probability: 5"),
        ["6:48 statuses[4].probability: a lost deal is not won: the probability is 0, not 5"],
    ),
    "a customer who may buy": (
        lambda t: t.replace("probability: 100", "probability: 90"),
        ["7:47 statuses[5].probability: a customer has bought: the probability is 100, not 90"],
    ),
    "an open deal that is certain": (
        lambda t: t.replace("probability: 60", "probability: 100"),
        ["5:49 statuses[3].probability: 100 is for what is won: an open status has at most 99"],
    ),
    "a probability of more than all": (
        lambda t: t.replace("probability: 60", "probability: 101"),
        ["5:49 statuses[3].probability: a whole number from 0 to 100 is expected, not 101"],
    ),
    "a probability with a fraction": (
        lambda t: t.replace("probability: 60", "probability: 0.6"),
        ["5:49 statuses[3].probability: a whole number is expected, not '0.6' (a number with a fraction)"],
    ),
    "stages out of order": (
        lambda t: t.replace("  - {name: Dead, stage: lead, probability: 0}\n", "").replace(
            "triggers:", "  - {name: Dead, stage: lead, probability: 0}\ntriggers:"
        ),
        [
            "7:25 statuses[5].stage: a status of a lead comes after one of a customer: list the statuses of leads first,"
            " then those of prospects, then those of customers"
        ],
    ),
    "a stage that is none": (
        lambda t: t.replace("Offer, stage: prospect", "Offer, stage: propsect"),
        ["5:26 statuses[3].stage: 'propsect' is not one of lead, prospect, customer (did you mean 'prospect'?)"],
    ),
    "a duration without a unit": (
        lambda t: t.replace("{name: Open,", "{name: Open, follow_up: 3,"),
        ["4:29 statuses[2].follow_up: a duration such as 30m, 12h, 3d or 2w is expected, not '3' (a number)"],
    ),
    "no duration at all": (
        lambda t: t.replace("{name: Open,", "{name: Open, follow_up: 0d,"),
        ["4:29 statuses[2].follow_up: a duration such as 30m, 12h, 3d or 2w is expected, not '0d' (text)"],
    ),
    "a duration of centuries": (
        lambda t: t.replace("{name: Open,", "{name: Open, target_duration: 99999w,"),
        ["4:35 statuses[2].target_duration: a duration of at most 3650d is expected, not 99999w"],
    ),
    "a name that YAML takes for a number": (
        lambda t: t.replace("name: Open", "name: 10").replace(": Open", ": '10'"),
        ["4:12 statuses[2].name: the name of a status (text) is expected, not '10' (a number): put it in quotes"],
    ),
    "a name that ends with a space": (
        lambda t: t.replace("name: Open", "name: 'Open '").replace(": Open\n", ": 'Open '\n"),
        ["4:12 statuses[2].name: a name does not begin or end with a space: 'Open '"],
    ),
    "too long a text": (
        lambda t: t.replace("{name: Open,", f"{{name: Open, definition: {'x' * (PROSE_MAX + 1)},"),
        [f"4:30 statuses[2].definition: text has 1 to {PROSE_MAX} printable characters"],
    ),
    "too many entries": (
        lambda t: t.replace("{name: Open,", f"{{name: Open, tools: [{', '.join('x' * (ITEMS_MAX + 1))}],"),
        [f"4:25 statuses[2].tools: at most {ITEMS_MAX} entries are expected, not {ITEMS_MAX + 1}"],
    ),
    "too many statuses": (
        lambda t: t.replace(
            "triggers:", "".join(f"  - {{name: C{n}, stage: customer, probability: 100}}\n" for n in range(99)) + "triggers:"
        ),
        [f"2:3 statuses: a table has 1 to {STATUSES_MAX} statuses"],
    ),
    "no status": (lambda t: f"statuses: []\n{t[t.index('triggers') :]}", ["1:11 statuses: a table has 1 to 100 statuses"]),
    "a date that is none": (
        lambda t: f"effective_from: tomorrow\n{t}",
        ["1:17 effective_from: 'tomorrow' is not an RFC 3339 time such as 2026-01-31T09:00:00Z"],
    ),
    "an enabling that is neither": (
        lambda t: f"opportunities_enabled: sometimes\n{t}",
        ["1:24 opportunities_enabled: true or false is expected, not 'sometimes' (text)"],
    ),
    "an anchor": (
        lambda t: t.replace("quote: Offer", "quote: &o Offer"),
        ["15:10 triggers.quote: anchors and aliases (& and *) are not supported: write it out"],
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_told_with_its_place(what: str) -> None:
    spoil, expected = WRONG[what]
    found = complaints(spoil(SMALL))
    assert found[: len(expected)] == expected
    if what not in ("no status", "an anchor"):  # where all triggers fail with it
        assert len(found) == len(expected)


def test_the_small_table_is_right() -> None:
    assert len(read_statuses(SMALL.encode()).content.statuses) == 6


def test_everything_is_told_at_once_and_nothing_twice() -> None:
    text = SMALL.replace("{name: Open,", "{name: Open, tool: x,").replace("probability: 100", "probability: 50")
    text = text.replace("quote: Offer", "quote: Offr").replace("  new: New\n", "")
    assert [complaint.partition(" ")[0] for complaint in complaints(text)] == ["4:18", "7:47", "9:3", "14:10"]


def test_a_status_whose_name_cannot_be_read_is_not_held_against_the_triggers() -> None:
    assert complaints(SMALL.replace("name: Offer", "name: [Offer]")) == [
        "5:12 statuses[3].name: the name of a status (text) is expected, not a list"
    ]


@pytest.mark.parametrize("stage", ["lead", "prospect", "customer"])
def test_a_wrong_process_cannot_be_made_from_what_the_topic_holds_either(stage: str) -> None:
    process = msgspec.to_builtins(read_statuses(SMALL.encode()).content)
    process["triggers"] |= {"sale": "Nothing"}
    for row in process["statuses"]:
        row["stage"] = stage
    del process["triggers"]["quote"]
    with pytest.raises(
        msgspec.ValidationError, match=r"triggers: 'quote' is missing; .*triggers\.sale: there is no status 'Nothing'"
    ):
        msgspec.convert(process, SalesProcess)
