"""A released schema cannot change in a breaking way: whoever tries is told the field and the way out."""

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from events import schema
from events.releases import Release, main, release, releases, tampered

from .schema_gate import breaks, verdict

Document = dict[str, Any]

RELEASED = releases()
LEAD = "crm.lead.created.v1"
ORDER = "crm.order.placed.v1"
MATCHED = "routing.record.matched.v1"
TEXT = {"description": "New.", "examples": ["x"], "type": "string"}


def working() -> dict[str, Document]:
    return {name: schema.schema(name) for name in schema.types()}


# -------------------------------------------------------------------------------------------- the gate


def test_the_schemas_keep_every_promise_of_every_release() -> None:
    broken = verdict(working(), RELEASED)
    assert not broken, "\n".join(["a released schema changes in a breaking way", *broken])


def test_every_type_of_the_first_release_is_still_compared() -> None:
    """A gate with nothing to compare with would be open."""
    assert {each.type for each in RELEASED if each.version == "0.1"} >= {LEAD, ORDER, MATCHED, "crm.status.changed.v1"}
    assert tampered() == [], (
        "a released schema is never edited, added or deleted by hand: restore it (`make freeze` adds a version)"
    )


def test_a_type_that_disappears_fails() -> None:
    rest = {name: document for name, document in working().items() if name != LEAD}
    assert verdict(rest, RELEASED) == [f"{LEAD}: is gone, and 0.1 released it: put it back, what was written must stay readable"]


def test_a_new_type_passes_and_so_does_a_new_major_version() -> None:
    more = {"crm.lead.merged.v1": working()[LEAD], "crm.lead.created.v2": {"$defs": {}, "type": "string"}}
    assert verdict({**working(), **more}, RELEASED) == []


def test_the_message_names_type_field_release_and_way_out() -> None:
    now = working()
    lead(now[LEAD])["required"].append("region")
    assert verdict(now, [each for each in RELEASED if each.type == LEAD]) == [
        f"{LEAD}: region has become required, against 0.1: make it optional, or start crm.lead.created.v2"
    ]


def test_every_release_counts_not_only_the_last() -> None:
    """0.2 promised a field; that 0.1 did not know it is no excuse for taking it away."""
    now = working()
    richer = deepcopy(now[LEAD])
    lead(richer)["properties"]["fax"] = TEXT
    both = [each for each in RELEASED if each.type == LEAD] + [Release("0.2", LEAD, json.dumps(richer))]
    assert verdict({LEAD: richer}, both) == []
    assert [line.split(":")[1:] for line in verdict(now, both)] == [
        [" fax is gone, against 0.2", " keep it, and say in its description that it is deprecated, or start crm.lead.created.v2"]
    ]


# ------------------------------------------------------------------------------- what breaks, on our own schemas


def released(name: str) -> Document:
    return next(each.schema for each in RELEASED if each.type == name)


def lead(document: Document) -> Document:
    found: Document = document["$defs"]["LeadCreated"]
    return found


def field(name: str, definition: str = "LeadCreated") -> Callable[[Document], Document]:
    """The rules of a field: of an optional one, those beside null."""

    def find(document: Document) -> Document:
        found: Document = document["$defs"][definition]["properties"][name]
        return found["anyOf"][0] if "anyOf" in found else found

    return find


def change(where: Callable[[Document], Document], **rules: Any) -> Callable[[Document], object]:
    return lambda document: where(document).update(rules)


def definition(name: str, edit: Callable[[Document], object]) -> Callable[[Document], object]:
    return lambda document: edit(document["$defs"][name])


def add(name: str, *, required: bool) -> Callable[[Document], object]:
    def edit(struct: Document) -> None:
        struct["properties"][name] = TEXT
        struct["required"] += [name] if required else []

    return edit


def remove(name: str) -> Callable[[Document], object]:
    def edit(struct: Document) -> None:
        del struct["properties"][name]
        struct["required"] = [each for each in struct["required"] if each != name]

    return edit


def rename(old: str, new: str) -> Callable[[Document], object]:
    def edit(struct: Document) -> None:
        struct["properties"] = {new if each == old else each: rules for each, rules in struct["properties"].items()}
        struct["required"] = [new if each == old else each for each in struct["required"]]

    return edit


def require(name: str) -> Callable[[Document], object]:
    return lambda struct: struct["required"].append(name)


def excuse(name: str) -> Callable[[Document], object]:
    return lambda struct: struct["required"].remove(name)


BREAKING: dict[str, tuple[str, Callable[[Document], object], list[str]]] = {
    "add a required field": (LEAD, definition("LeadCreated", add("fax", required=True)), ["fax"]),
    "remove an optional field": (LEAD, definition("LeadCreated", remove("region")), ["region"]),
    "remove a required field": (ORDER, definition("OrderPlaced", remove("order_id")), ["order_id"]),
    "require an optional field": (LEAD, definition("LeadCreated", require("region")), ["region"]),
    "no longer require a field": (ORDER, definition("OrderPlaced", excuse("order_id")), ["order_id"]),
    "rename an optional field": (LEAD, definition("LeadCreated", rename("region", "state")), ["region"]),
    "rename a required field": (ORDER, definition("OrderPlaced", rename("order_id", "number")), ["order_id", "number"]),
    "narrow an enum": (LEAD, change(field("source_kind"), enum=["marketing", "sales"]), ["source_kind"]),
    "widen an enum": (
        LEAD,
        change(field("source_kind"), enum=["marketing", "sales", "partner", "other", "press"]),
        ["source_kind"],
    ),
    "change a type": (LEAD, change(field("company"), type="integer"), ["company"]),
    "make a field a number": (LEAD, change(field("employees"), type="number"), ["employees"]),
    "tighten a bound": (LEAD, change(field("score"), maximum=50), ["score"]),
    "loosen a bound": (LEAD, change(field("score"), maximum=1000), ["score"]),
    "tighten a length": (LEAD, change(field("company"), maxLength=100), ["company"]),
    "loosen a length": (LEAD, change(field("company"), maxLength=4000), ["company"]),
    "change a pattern": (LEAD, change(field("country"), pattern="^[A-Z][A-Z]$"), ["country"]),
    "forbid null": (LEAD, lambda document: lead(document)["properties"]["region"]["anyOf"].pop(), ["region"]),
    "another default": ("crm.activity.logged.v1", change(field("automatic", "ActivityLogged"), default=True), ["automatic"]),
    "another format": (
        "crm.opportunity.created.v1",
        change(field("close_date", "OpportunityCreated"), format="date-time"),
        ["close_date"],
    ),
    "other items": (LEAD, change(field("product_interest"), items={"type": "integer"}), ["product_interest[]"]),
    "other values of a map": (
        LEAD,
        change(field("attributes"), additionalProperties={"type": "string", "maxLength": 2000}),
        ["attributes.*"],
    ),
    "other names of a map": (LEAD, change(field("attributes"), propertyNames={"maxLength": 20}), ["attributes"]),
    "remove a nested field": (LEAD, definition("Contact", remove("email")), ["contact.email"]),
    "require a nested field": (LEAD, definition("Contact", require("email")), ["contact.email"]),
    "add a required nested field": (LEAD, definition("Contact", add("fax", required=True)), ["contact.fax"]),
    "shorten a nested field": (LEAD, change(field("email", "Contact"), maxLength=50), ["contact.email"]),
    "narrow money": (
        LEAD,
        change(field("amount", "Price"), type="string"),
        ["annual_revenue.amount", "expected_amount.amount"],
    ),
    "remove from money": (ORDER, definition("Money", remove("currency")), ["amount.currency"]),
}


@pytest.mark.parametrize("case", BREAKING)
def test_a_breaking_change_is_named(case: str) -> None:
    name, edit, paths = BREAKING[case]
    document = released(name)
    edit(document)
    found = breaks(released(name), document)
    assert [each.path for each in found] == paths, found
    assert all(each.what and each.way_out for each in found)


def rename_struct(document: Document, old: str, new: str) -> None:
    text = json.dumps(document["$defs"]).replace(f'#/$defs/{old}"', f'#/$defs/{new}"')
    document["$defs"] = {new if name == old else name: rules for name, rules in json.loads(text).items()}


COMPATIBLE: dict[str, tuple[str, Callable[[Document], object]]] = {
    "add an optional field": (LEAD, definition("LeadCreated", add("fax", required=False))),
    "add an optional nested field": (LEAD, definition("Contact", add("fax", required=False))),
    "add an optional field to money": (ORDER, definition("Money", add("tax", required=False))),
    "say it in other words": (LEAD, change(field("score"), description="How good the lead is.", examples=[7], title="Score")),
    "call a struct something else": (LEAD, lambda document: rename_struct(document, "Contact", "Person")),
    "deprecate a field": (LEAD, lambda document: lead(document)["properties"]["region"].update(deprecated=True)),
}


@pytest.mark.parametrize("case", COMPATIBLE)
def test_a_compatible_change_passes(case: str) -> None:
    name, edit = COMPATIBLE[case]
    document = released(name)
    edit(document)
    assert breaks(released(name), document) == []


def structs() -> Iterator[tuple[str, str]]:
    for each in RELEASED:
        for name in each.schema["$defs"]:
            if "properties" in each.schema["$defs"][name]:
                yield each.type, name


@pytest.mark.parametrize(("name", "struct"), sorted(set(structs())))
def test_every_field_of_every_released_struct_is_guarded(name: str, struct: str) -> None:
    """No place is out of the walk's reach: each field taken away, turned about, or joined by a required one is named."""
    promised = released(name)
    for each, rules in promised["$defs"][struct]["properties"].items():
        required = each in promised["$defs"][struct]["required"]
        for edit in (remove(each), excuse(each) if required else require(each), lambda told, key=each: narrow(told, key)):
            document = released(name)
            edit(document["$defs"][struct])
            if document == promised:
                assert rules.keys() <= {"description", "examples", "default"}, f"{each} takes any JSON"
                continue
            named = {found.path.rpartition(".")[2].removesuffix("[]") for found in breaks(promised, document)}
            assert each in named, f"{struct}.{each}: {named}"
    document = released(name)
    add("fresh", required=True)(document["$defs"][struct])
    assert {found.path.rpartition(".")[2] for found in breaks(promised, document)} == {"fresh"}
    document = released(name)
    add("fresh", required=False)(document["$defs"][struct])
    assert breaks(promised, document) == []


def narrow(struct: Document, key: str) -> None:
    """Let a field be nothing but the one text."""
    struct["properties"][key] = {"description": "Narrow.", "enum": ["nothing else"]}


# ------------------------------------------------------------------------------------------- releasing


def test_a_release_holds_what_is_new_or_changed_and_is_never_written_again(tmp_path: Path) -> None:
    first = release("0.1", tmp_path)
    assert first == sorted(schema.types())
    assert release("0.2", tmp_path) == []  # nothing has changed
    assert not (tmp_path / "0.2").exists()
    with pytest.raises(ValueError, match=r"0\.1 is not newer than 0\.1: a release is never changed"):
        release("0.1", tmp_path)
    with pytest.raises(ValueError, match=r"'latest' is not a version such as 0\.2"):
        release("latest", tmp_path)
    older = json.dumps({"$defs": {}})
    (tmp_path / "0.1" / f"{LEAD}.json").write_text(older)
    assert release("0.10", tmp_path) == [LEAD]
    assert [(each.version, each.text == older) for each in releases(tmp_path) if each.type == LEAD] == [
        ("0.1", True),
        ("0.10", False),
    ]


def test_what_is_edited_lost_or_slipped_in_after_the_release_is_noticed(tmp_path: Path) -> None:
    release("0.1", tmp_path)
    assert tampered(tmp_path) == []
    folder = tmp_path / "0.1"
    (folder / f"{LEAD}.json").write_text((folder / f"{LEAD}.json").read_text().replace("200", "300"))
    (folder / f"{ORDER}.json").unlink()
    (folder / "crm.made.up.v1.json").write_text("{}")
    assert tampered(tmp_path) == ["0.1/crm.lead.created.v1.json", "0.1/crm.made.up.v1.json", "0.1/crm.order.placed.v1.json"]


def test_the_command_refuses_a_version_that_was_released(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["0.1"]) == 2
    assert "choose a later version" in capsys.readouterr().err
    assert main([]) == 2
    assert "usage: python -m events.releases VERSION" in capsys.readouterr().err
    assert tampered() == []
