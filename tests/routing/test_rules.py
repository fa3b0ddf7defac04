"""``rules.yaml``: what it can say, and everything that can be wrong with it, by line and column."""
# ruff: noqa: E501 - problems are quoted as whole lines

from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import services.routing
from events.files.yaml_tree import FILE_BYTES_MAX, PROBLEMS_MAX, FileError, Problem
from events.values import Price
from services.routing.directory import read_directory
from services.routing.domain.rule_set import (
    AllOf,
    AnyOf,
    ClearOwner,
    Compare,
    Condition,
    Exists,
    In,
    KeepOwner,
    Member,
    NotOf,
    PoolTarget,
    Prefix,
    RepTarget,
    RuleSet,
    Target,
    Territory,
    Unassigned,
)
from services.routing.rules import read_rules
from tests.fuzz.feeding import no_longer_than

REPS = ("anna", "ben", "caroll")


def rules(text: str) -> RuleSet:
    return read_rules(text.encode(), REPS, 3).content


def problems(content: str | bytes) -> list[str]:
    with pytest.raises(FileError) as caught:
        read_rules(content.encode() if isinstance(content, str) else content, REPS, 3)
    return str(caught.value).splitlines()


def condition(text: str) -> object:
    return rules(f"territories:\n- name: x\n  when: {text}\n  rep: anna\ndefault: {{target: unassigned}}\n").territories[0].when


def condition_problems(text: str) -> list[str]:
    lines = problems(f"territories:\n- name: x\n  rep: anna\n  when: {text}\ndefault: {{target: unassigned}}\n")
    assert all(line.startswith("rules.yaml:4:") for line in lines)
    return [line.partition(" ")[2].removeprefix("territories[0].when") for line in lines]


def test_territories_pools_and_targets() -> None:
    assert rules("""
comment: Spring
route_again: [prospect]
pools:
  north: [anna, {rep: ben, weight: 3}]
territories:
  - name: North
    when: {country: [DE, NO]}
    pool: north
  - {name: Inline, when: {industry: Software}, pool: [ben]}
  - {name: Fixed, when: {score: 100}, rep: anna}
  - {name: Keep, when: {source_kind: partner}, target: keep_owner}
  - {name: Clear, target: clear_owner}
default:
  target: unassigned
""") == msgspec.structs.replace(
        rules("territories: []\ndefault: {target: unassigned}"),
        comment="Spring",
        route_again=("prospect",),
        pools={"north": (Member("anna"), Member("ben", 3)), "Inline": (Member("ben"),)},
        territories=(
            territory("North", In("country", ("DE", "NO")), PoolTarget("north")),
            territory("Inline", In("industry", ("Software",)), PoolTarget("Inline")),
            territory("Fixed", In("score", (100,)), RepTarget("anna")),
            territory("Keep", In("source_kind", ("partner",)), KeepOwner()),
            territory("Clear", None, ClearOwner()),
        ),
        default=Unassigned(),
    )


def territory(name: str, when: Condition | None, target: Target) -> Territory:
    return Territory(name=name, when=when, target=target)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("{country: DE}", In("country", ("DE",))),
        ("{employees: {gte: 200}}", Compare("employees", "gte", 200)),
        (
            "{employees: {gte: 200, lt: 1000}}",
            AllOf((Compare("employees", "gte", 200), Compare("employees", "lt", 1000))),
        ),
        ('{postal_code: {prefix: ["01", "80"]}}', Prefix("postal_code", ("01", "80"))),
        ("{industry: {not: Tobacco}}", NotOf(In("industry", ("Tobacco",)))),
        ("{region: {in: [South, West]}}", In("region", ("South", "West"))),
        ("{campaign: {exists: false}}", Exists("campaign", False)),
        (
            "{attributes.vip: true, attributes.seats: {gt: 5}}",
            AllOf((In("attributes.vip", (True,)), Compare("attributes.seats", "gt", 5))),
        ),
        ("{not: {country: DE}}", NotOf(In("country", ("DE",)))),
        ("{any: [{country: DE}, {score: {gte: 50}}]}", AnyOf((In("country", ("DE",)), Compare("score", "gte", 50)))),
        ("{all: [{country: DE}]}", In("country", ("DE",))),
        ("{stage: prospect}", In("stage", ("prospect",))),
        ("{product_interest: [Pro, Max]}", In("product_interest", ("Pro", "Max"))),
    ],
)
def test_conditions(text: str, meaning: object) -> None:
    assert condition(text) == meaning


def test_an_amount_has_its_currency() -> None:
    assert condition("{expected_amount: {gte: 50000.50 EUR}}") == Compare(
        "expected_amount", "gte", Price(amount=Decimal("50000.50"), currency="EUR")
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{contry: DE}", ".contry: there is no field 'contry' (did you mean 'country'?)"),
        ("{attributes: x}", ".attributes: there is no field 'attributes' (write attributes.<name>, such as attributes.vip)"),
        ("{country: de}", ".country: 'de' is not a country as in ISO 3166-1 alpha-2, such as DE (did you mean 'DE'?)"),
        ("{source_kind: sale}", ".source_kind: 'sale' is not one of marketing, sales, partner, other (did you mean 'sales'?)"),
        ("{employees: many}", ".employees: a whole number is expected, not 'many' (text)"),
        ("{employees: {gte: 1.5}}", ".employees.gte: a whole number is expected, not '1.5' (a number with a fraction)"),
        ("{postal_code: 01067}", ".postal_code: postal_code is text, and text is expected, not '01067' (a number): put it in quotes"),
        ("{country: {gte: DE}}", ".country.gte: country is text: only numbers and amounts can be compared with gte"),
        ("{employees: {prefix: x}}", ".employees.prefix: employees is not text: it has no prefix"),
        ("{employees: {ge: 5}}", ".employees.ge: unknown key (did you mean 'gte'?)"),
        ("{employees: {}}", ".employees: an empty test: use in, not, exists, prefix, gt, gte, lt, lte"),
        ("{expected_amount: {gte: 5}}", ".expected_amount.gte: expected_amount is an amount: compare it with one and its currency, such as 50000 EUR, not '5' (a number)"),
        ("{expected_amount: 5 EUR}", ".expected_amount: expected_amount is an amount: compare it with gt, gte, lt, lte, for example {gte: 50000 EUR}"),
        ("{country: []}", ".country: the list is empty: nothing is one of it"),
        ("{country: }", ".country: a value is missing: to ask whether country is there at all, write {exists: false}"),
        ("{campaign: {exists: never}}", ".campaign.exists: true or false is expected, not 'never' (text)"),
        ("[country, DE]", ": a mapping (field: value) is expected, not a list: put the list under all: or any:"),
        ("{}", ": an empty condition: leave it out to take every record"),
        ("{any: []}", ".any: 'any' needs at least one condition"),
        ("{any: {country: DE}}", ".any: a list is expected, not a mapping (key: value)"),
        ("{country: [[DE]]}", ".country[0]: country is text, and text is expected, not a list"),
    ],
)  # fmt: skip
def test_wrong_conditions(text: str, problem: str) -> None:
    assert problem in condition_problems(text)


def test_a_missing_rep_is_named_with_line_column_and_what_was_meant() -> None:
    assert problems("""pools: {}
territories:
  - name: One
    rep: anna
    when: {country: DE}
  - name: Two
    comment: the one with the mistake
    pool: [ben, carol]
default:
  target: unassigned
""") == ["rules.yaml:8:17 territories[1].pool: 'carol' is not in directory v3 (did you mean 'caroll'?)"]


def test_all_problems_at_once_in_the_order_of_lines() -> None:
    lines = problems("""pools:
  north: [anna, anna]
  north: [ben]
  empty: []
  heavy: [{rep: ben, weight: 0}]
teritories: []
territories:
  - name: default
    rep: anna
    when: {country: DE}
  - when: {country: DE}
    pool: nort
  - name: Twice
    pool: north
    rep: ben
  - name: Twice
    when: {country: DE}
  - name: All
    pool: ben
  - name: Clear
    target: clear
  - name: north
    when: {country: DE}
    pool: [ben]
route_again: [suspect]
effective_from: 2026-13-01
""")
    assert lines == [
        "rules.yaml:1:1 'default' is missing",
        "rules.yaml:2:17 pools.north: 'anna' is there twice: give it a weight instead",
        "rules.yaml:3:3 pools.north: this key is there twice: first on line 2",
        "rules.yaml:4:10 pools.empty: a pool has 1 to 300 members",
        "rules.yaml:5:30 pools.heavy[0].weight: a whole number from 1 to 1000 is expected, not 0",
        "rules.yaml:6:1 teritories: unknown key (did you mean 'territories'?)",
        "rules.yaml:8:11 territories[0].name: 'default' is what records are said to belong to that no territory takes",
        "rules.yaml:11:5 territories[1]: 'name' is missing",
        "rules.yaml:12:11 territories[1].pool: there is no pool 'nort' (did you mean 'north'?)",
        "rules.yaml:13:5 territories[2]: exactly one of pool, rep and target is needed, not pool and rep",
        "rules.yaml:16:5 territories[3]: exactly one of pool, rep and target is needed",
        "rules.yaml:16:11 territories[3].name: 'Twice' is there twice: first on line 13",
        "rules.yaml:19:11 territories[4].pool: there is no pool 'ben' (it is a rep: write rep: instead of pool:)",
        "rules.yaml:21:13 territories[5].target: 'clear' is not one of keep_owner, clear_owner, unassigned (did you mean 'clear_owner'?)",
        "rules.yaml:24:11 territories[6].pool: there is a pool 'north' already: give this one another name under pools:",
        "rules.yaml:25:15 route_again[0]: 'suspect' is not one of lead, prospect, customer (did you mean 'prospect'?)",
        "rules.yaml:26:17 effective_from: '2026-13-01T00:00:00Z' is not a time: month must be in 1..12",
    ]


def test_territories_after_one_that_takes_everything_are_never_tried() -> None:
    text = "territories:\n- {name: All, rep: anna}\n- {name: Rest, rep: ben}\ndefault: {target: unassigned}\n"
    assert problems(text) == ["rules.yaml:3:3 territories[1]: is never tried: 'All' has no 'when' and takes every record"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "rules.yaml:1:1 the file is empty"),
        ("# only a comment\n", "rules.yaml:1:1 the file is empty"),
        ("territories:\n\t- name: x\n", "rules.yaml:2:1 a tab: YAML is indented with spaces"),
        ("territories: [\n", "rules.yaml:2:1 this is not YAML: expected the node content, but found '<stream end>' (while parsing a flow node)"),
        ("a: b: c\n", "rules.yaml:1:5 a second ': ' on this line: put text that contains one in quotes, and check the indentation"),
        ("- name: x\n", "rules.yaml:1:1 a mapping (key: value) is expected, not a list"),
        ("just text\n", "rules.yaml:1:1 a mapping (key: value) is expected, not 'just text' (text)"),
        ("comment: ä\n".encode("latin-1"), "rules.yaml:1:10 this is not UTF-8: save the file in that encoding"),
        ("comment: x\x07\n", "rules.yaml:1:11 a control character: remove it"),
        ("a: 1\n---\nb: 2\n", "rules.yaml:2:1 this is not YAML: but found another document (expected a single document in the stream)"),
        ("[" * 20_000, "rules.yaml:1:1 the file is nested too deeply"),
        ("#" * (FILE_BYTES_MAX + 1), "rules.yaml:1:1 the file has 262145 bytes, at most 262144 are read"),
        ("territories: &a [*a]\n", "rules.yaml:1:14 territories: anchors and aliases (& and *) are not supported: write it out"),
        ("default: &a 1\npools: &a 2\n", "rules.yaml:2:8 pools: anchors and aliases (& and *) are not supported: write it out"),
        ("default: !!map x\n", "rules.yaml:1:10 default: the tag tag:yaml.org,2002:map is not supported"),
        ("default: !!python/name:os.system\n", "rules.yaml:1:10 default: the tag tag:yaml.org,2002:python/name:os.system is not supported"),
    ],
)  # fmt: skip
def test_what_is_no_rules_file_at_all(content: str | bytes, problem: str) -> None:
    assert problem in problems(content)


def test_more_conditions_than_a_trace_can_show_are_refused() -> None:
    territories = "".join(f"- {{name: t{number}, when: {{country: DE}}, rep: anna}}\n" for number in range(1000))
    (problem,) = problems(f"territories:\n{territories}default: {{target: unassigned}}\n")
    assert "too many conditions" in problem


def test_when_rules_hold() -> None:
    text = "territories: []\ndefault: {target: unassigned}\neffective_from: %s\n"
    assert read_rules((text % "2026-01-01T09:00:00+01:00").encode(), REPS, 1).effective_from == "2026-01-01T08:00:00Z"
    assert read_rules((text % "2026-01-01").encode(), REPS, 1).effective_from == "2026-01-01T00:00:00Z"


def test_a_byte_order_mark_is_no_mistake() -> None:
    assert read_rules(b"\xef\xbb\xbfterritories: []\ndefault: {rep: anna}\n", REPS, 1).content.default == RepTarget("anna")


def test_the_rules_that_come_with_handoff_fit_the_directory_that_comes_with_it() -> None:
    defaults = Path(services.routing.__file__).parent / "defaults"
    directory = read_directory((defaults / "directory.yaml").read_bytes()).content
    found = read_rules((defaults / "rules.yaml").read_bytes(), [rep.rep_id for rep in directory.reps], 1).content
    assert found.territories
    assert isinstance(found.default, PoolTarget)


def test_rules_travel_as_json() -> None:
    found = rules(
        "pools: {p: [anna]}\nterritories:\n- {name: a, when: {not: {any: [{score: {gt: 1}}]}}, pool: p}\ndefault: {rep: ben}\n"
    )
    assert msgspec.json.decode(msgspec.json.encode(found), type=RuleSet) == found


def test_rules_without_their_pool_are_no_rules() -> None:
    found = rules("pools: {p: [anna]}\nterritories:\n- {name: a, pool: p}\ndefault: {rep: ben}\n")
    without = msgspec.json.encode({**msgspec.to_builtins(found), "pools": {}})
    with pytest.raises(msgspec.ValidationError, match="the pool 'p' is not there"):
        msgspec.json.decode(without, type=RuleSet)


FRAGMENTS = st.sampled_from(
    ["territories", "default", "pools", "name", "when", "rep", "anna", "country", "[DE]", "{", "}", "[", "]", ": ", "- ", "\n", "  ", "\t",
     "'", '"', "#", "&a ", "*a", "!!map ", "? ", "|", ">", "~", "1", "true", "2026-01-01", "\x00", "é", "any", "not", "gte", "---\n", "%"]
)  # fmt: skip


@given(st.one_of(st.lists(FRAGMENTS, max_size=40).map("".join).map(str.encode), st.binary(max_size=200)))
def test_whatever_the_bytes_are_the_answer_is_rules_or_problems(content: bytes) -> None:
    found = rules_or_problems(content)
    assert isinstance(found, RuleSet) or (found and all(problem.line >= 1 and problem.column >= 1 for problem in found))


def rules_or_problems(content: bytes) -> RuleSet | list[Problem]:
    try:
        return read_rules(content, REPS, 1).content
    except FileError as error:
        return error.problems


def test_names_that_nobody_knows_are_told_in_time_however_many() -> None:
    reps = [f"rep-{number:05}" for number in range(10_000)]
    unknown = ", ".join(f"ref-{number:05}" for number in range(300))
    content = f"pools:\n  p: [{unknown}]\nterritories: []\ndefault: {{pool: p}}\n".encode()
    with no_longer_than(cpu_seconds=10), pytest.raises(FileError) as caught:  # a hint for each took 17 s
        read_rules(content, reps, 1)
    assert len(caught.value.problems) == PROBLEMS_MAX
    assert "'ref-00000' is not in directory v1 (did you mean 'rep-00000'?)" in str(caught.value)
