"""``rules.yaml``: territories, pools and conditions as operations write them down, checked against the directory.

In goes the file's content, out comes the rule set, or :class:`~events.files.yaml_tree.FileError` with everything that is wrong,
each problem with line and column, and what was probably meant.
"""

from collections.abc import Collection
from typing import Final, get_args

from msgspec.json import encode

from events.facts import Stage
from events.files.reading import Reader, Written
from events.files.yaml_tree import Entries, FileError, Items, Place, Problem, Scalar, Tree, parse
from services.routing.conditions import read_condition
from services.routing.domain.decide import DEFAULT
from services.routing.domain.match import CUT, SHOWN_CHARACTERS_MAX, SHOWN_ENTRIES_MAX, shown
from services.routing.domain.rule_set import (
    FIELDS,
    ClearOwner,
    Condition,
    KeepOwner,
    Member,
    PoolTarget,
    RepTarget,
    RuleSet,
    Target,
    Territory,
    Unassigned,
    tests_of,
)

MEMBERS_MAX: Final = 300
WEIGHT_MAX: Final = 1000
TRACE_BYTES_MAX: Final = 160 * 1024
"""What the territories may take of a trace, so that every decision fits into a record that lifecycle takes in."""

_KEYS: Final = ("comment", "effective_from", "route_again", "pools", "territories", "default")
_TARGET_KEYS: Final = ("pool", "rep", "target")
_PSEUDO: Final[dict[str, Target]] = {"keep_owner": KeepOwner(), "clear_owner": ClearOwner(), "unassigned": Unassigned()}


def read_rules(content: bytes, reps: Collection[str], directory_version: int, name: str = "rules.yaml") -> Written[RuleSet]:
    """The rules in a file. ``reps`` are the ids in that version of the directory. Raises ``FileError`` with every problem."""
    problems: list[Problem] = []
    tree = parse(content, problems)
    found = None if tree is None else _Rules(Reader(problems), reps, directory_version).read(tree)
    if problems or found is None:
        raise FileError(name, problems)
    return found


class _Rules:
    """One reading of a file."""

    def __init__(self, read: Reader, reps: Collection[str], directory_version: int) -> None:
        self._read = read
        self._reps = reps
        self._directory_version = directory_version
        self._pools: dict[str, tuple[Member, ...]] = {}
        self._names: dict[str, int] = {}

    def read(self, tree: Tree) -> Written[RuleSet] | None:
        entries = self._read.entries(tree, _KEYS, required=["territories", "default"])
        if entries is None:
            return None
        if "pools" in entries:
            for name, members in (self._read.entries(entries["pools"], known=None) or {}).items():
                self._pools[name] = self._members(members)
        territories = self._territories(entries["territories"]) if "territories" in entries else ()
        default = self._default(entries["default"]) if "default" in entries else None
        comment = self._read.text(entries["comment"], length_max=2000) if "comment" in entries else None
        route_again = self._route_again(entries["route_again"]) if "route_again" in entries else ()
        effective_from = self._read.instant(entries["effective_from"]) if "effective_from" in entries else None
        if self._read.problems or default is None:
            return None
        rules = RuleSet(territories=territories, pools=self._pools, default=default, route_again=route_again, comment=comment)
        self._check_trace(rules, entries["territories"].place)
        return Written(rules, effective_from)

    # ----------------------------------------------------------------------------------- territories

    def _territories(self, tree: Tree) -> tuple[Territory, ...]:
        territories: list[Territory] = []
        catches_all: str | None = None
        for item in self._read.items(tree):
            if catches_all is not None:
                self._read.fail(item.place, f"is never tried: {catches_all!r} has no 'when' and takes every record")
            territory = self._territory(item)
            if territory is not None:
                territories.append(territory)
                catches_all = territory.name if territory.when is None and catches_all is None else catches_all
        return tuple(territories)

    def _territory(self, tree: Tree) -> Territory | None:
        entries = self._read.entries(tree, ("name", "comment", "when", *_TARGET_KEYS), required=["name"])
        if not isinstance(tree, Entries) or entries is None:
            return None
        if "comment" in entries:
            self._read.text(entries["comment"])
        name = self._read.text(entries["name"]) if "name" in entries else None
        if name is not None:
            self._check_name(name, entries["name"].place)
        before = len(self._read.problems)
        when: Condition | None = read_condition(self._read, entries["when"]) if "when" in entries else None
        target = self._target(tree, name)
        if name is None or target is None or len(self._read.problems) > before:
            return None
        return Territory(name=name, when=when, target=target)

    def _check_name(self, name: str, at: Place) -> None:
        if name == DEFAULT:
            self._read.fail(at, f"{name!r} is what records are said to belong to that no territory takes")
        if name in self._names:
            self._read.fail(at, f"{name!r} is there twice: first on line {self._names[name]}")
        self._names.setdefault(name, at.line)

    def _default(self, tree: Tree) -> Target | None:
        if self._read.entries(tree, _TARGET_KEYS) is None:
            return None
        return self._target(tree, DEFAULT)

    def _target(self, tree: Tree, owner: str | None) -> Target | None:
        """The one target that a territory or the default names. An inline pool is called like its ``owner``."""
        named = [key for key in _TARGET_KEYS if isinstance(tree, Entries) and key in tree.entries]
        if not isinstance(tree, Entries) or len(named) != 1:
            wanted = "exactly one of pool, rep and target is needed"
            self._read.fail(tree.place, f"{wanted}, not {' and '.join(named)}" if named else wanted)
            return None
        value = tree.entries[named[0]]
        match named[0]:
            case "rep":
                rep_id = self._rep(value, value.place.path)
                return None if rep_id is None else RepTarget(rep_id)
            case "pool":
                return self._pool(value, owner)
            case _:
                return _PSEUDO.get(self._read.choice(value, _PSEUDO) or "")

    # ----------------------------------------------------------------------------------------- pools

    def _pool(self, tree: Tree, owner: str | None) -> Target | None:
        if not isinstance(tree, Items):
            name = self._read.text(tree, "the name of a pool, or a list of reps,")
            if name is not None and name not in self._pools:
                hint = self._read.meant(name, self._pools) or (
                    " (it is a rep: write rep: instead of pool:)" if name in self._reps else ""
                )
                self._read.fail(tree.place, f"there is no pool {name!r}{hint}")
                return None
            return None if name is None else PoolTarget(name)
        members = self._members(tree)
        if owner is None or not members:
            return None
        if owner in self._pools:
            self._read.fail(tree.place, f"there is a pool {owner!r} already: give this one another name under pools:")
            return None
        self._pools[owner] = members
        return PoolTarget(owner)

    def _members(self, tree: Tree) -> tuple[Member, ...]:
        listed = self._read.items(tree)
        if isinstance(tree, Items) and not 1 <= len(listed) <= MEMBERS_MAX:
            self._read.fail(tree.place, f"a pool has 1 to {MEMBERS_MAX} members")
        first: dict[str, int] = {}
        members = []
        for item in listed:
            member = self._member(item, tree.place.path)
            if member is None:
                continue
            if member.rep_id in first:
                at = Place(item.place.line, item.place.column, tree.place.path)
                self._read.fail(at, f"{member.rep_id!r} is there twice: give it a weight instead")
            first.setdefault(member.rep_id, item.place.line)
            members.append(member)
        return tuple(members)

    def _member(self, tree: Tree, path: str) -> Member | None:
        if isinstance(tree, Scalar):
            rep_id = self._rep(tree, path)
            return None if rep_id is None else Member(rep_id)
        entries = self._read.entries(tree, ("rep", "weight"), required=["rep"])
        if entries is None or "rep" not in entries:
            return None
        rep_id = self._rep(entries["rep"], entries["rep"].place.path)
        weight = self._read.integer(entries["weight"], 1, WEIGHT_MAX) if "weight" in entries else 1
        return None if rep_id is None or weight is None else Member(rep_id, weight)

    def _rep(self, tree: Tree, path: str) -> str | None:
        rep_id = self._read.text(tree, "a rep's id (text)")
        if rep_id is None or rep_id in self._reps:
            return rep_id
        at = Place(tree.place.line, tree.place.column, path)
        self._read.fail(at, f"{rep_id!r} is not in directory v{self._directory_version}{self._read.meant(rep_id, self._reps)}")
        return None

    # ------------------------------------------------------------------------------------------ rest

    def _route_again(self, tree: Tree) -> tuple[Stage, ...]:
        stages = {name: stage for stage in get_args(Stage) for name in [str(stage)]}
        read = [self._read.choice(item, stages) for item in self._read.items(tree)]
        return tuple(stages[name] for name in read if name in stages)

    def _check_trace(self, rules: RuleSet, at: Place) -> None:
        """Every territory may have to be tried, with a value as long as values are shown."""
        size = sum(len(encode((test.field, shown(test.operand)))) + _longest(test.field) + 60 for test in tests_of(rules))
        size += sum(len(encode(territory.name)) + 60 for territory in rules.territories)
        if size > TRACE_BYTES_MAX:
            self._read.fail(at, f"too many conditions: the trace of a decision could have {size} bytes, at most {TRACE_BYTES_MAX}")


def _longest(field: str) -> int:
    """The bytes that a value of the field may take in a trace."""
    return 4 * (SHOWN_CHARACTERS_MAX + len(CUT)) * (SHOWN_ENTRIES_MAX + 1 if FIELDS.get(field) == "texts" else 1)
