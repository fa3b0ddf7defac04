"""Rules and directory: whether the files are right, whether they are in force, and whether whoever they name is there.

Files are read by routing's own readers, so what is told here, with line and column, is what routing would say.
"""

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

from msgspec import Struct

from events.bus import Bus
from events.bus.versions import Known, Versions
from events.files.yaml_tree import FILE_BYTES_MAX, FileError
from events.reference import Directory
from events.topics import DIRECTORY, RULES
from handoff.doctor.finding import Finding, Outcome, error, warning
from handoff.settings import variable
from services.routing.directory import read_directory
from services.routing.domain.rule_set import RepTarget, RuleSet
from services.routing.rules import read_rules
from services.routing.settings import DEFAULTS


class Published(Struct, frozen=True):
    """What the two topics hold: the versions in force, and the digests of the last versions that came from a file."""

    rules: Known[RuleSet] | None
    directory: Known[Directory] | None
    digests: Mapping[str, str | None]
    complaints: tuple[str, ...]


def published(bus: Bus) -> Published:
    """Read both topics. Raises ``BusError``, or ``LookupError`` where one does not exist."""
    rules, directory = Versions(bus, RULES.name, RuleSet), Versions(bus, DIRECTORY.name, Directory)
    rules.refresh()
    directory.refresh()
    from_files = {"rules": rules.newest_of_file, "directory": directory.newest_of_file}
    return Published(
        rules.newest,
        directory.newest,
        {name: known.digest if known else None for name, known in from_files.items()},
        tuple(complaint for complaint in (rules.complaint, directory.complaint) if complaint),
    )


def reference(files: Mapping[str, Path], there: Published | None, *, routing: bool) -> Outcome:
    """``files``: of ``rules`` and ``directory``; ``there``: None where Kafka does not tell; ``routing``: whether it runs."""
    findings: list[Finding] = []
    content: dict[str, bytes] = {}
    for name, path in files.items():
        try:
            content[name] = path.read_bytes()[: FILE_BYTES_MAX + 1]
        except OSError as failure:
            fix = f"correct {variable(name)}, or unset it for the built-in sample"
            findings.append(error(f"{path}: {failure.strerror}", where=variable(name), fix=fix))
    reps, version = _reps(content, files, there, findings)
    if "rules" in content and reps is not None:
        findings += _wrong(files["rules"], lambda: read_rules(content["rules"], reps, version, str(files["rules"])))
    if there:
        wrong = {each.where for each in findings}
        findings += [
            error(complaint, where="topics", fix="write a valid version: routing publishes one when the file changes")
            for complaint in there.complaints
        ]
        findings += _not_in_force({n: c for n, c in content.items() if str(files[n]) not in wrong}, files, there, routing=routing)
        findings += _missing(there)
    in_force = (
        f"rules v{_number(there.rules)} and directory v{_number(there.directory)} are in force"
        if there
        else "files only: what is in force was not read"
    )
    return Outcome(check="rules", said=in_force, findings=tuple(findings))


def _reps(
    content: Mapping[str, bytes], files: Mapping[str, Path], there: Published | None, findings: list[Finding]
) -> tuple[Collection[str] | None, int]:
    """The reps that rules may name, and of which version: those of the directory in force, or of a right file that comes next.

    Notes what is wrong with the file.
    """
    written: list[Directory] = []
    if "directory" in content:
        name = str(files["directory"])
        findings += _wrong(files["directory"], lambda: written.append(read_directory(content["directory"], name).content))
    in_force = there.directory if there else None
    if written and (in_force is None or _comes_next("directory", content["directory"], files["directory"], there)):
        return [rep.rep_id for rep in written[0].reps], in_force.version + 1 if in_force else 1
    return ([rep.rep_id for rep in in_force.content.reps], in_force.version) if in_force else (None, 0)


def _wrong(path: Path, read: Callable[[], object]) -> Iterator[Finding]:
    """What a reader says of a file, a finding for each line of it."""
    try:
        read()
    except FileError as wrong:
        for line in str(wrong).splitlines():
            yield error(line, where=str(path), fix=f"correct the line in {path}; until then the last good version stays in force")


def _not_in_force(content: Mapping[str, bytes], files: Mapping[str, Path], there: Published, *, routing: bool) -> Iterator[Finding]:
    """Right files that are not in force."""
    for name, text in content.items():
        if not _comes_next(name, text, files[name], there):
            continue
        if routing:
            fix = f"start `handoff up` with {variable(name)}={files[name]}: routing reads another file"
            yield warning(f"{files[name]} is not what is in force", where=str(files[name]), fix=fix)
        elif there.digests[name]:
            fix = "start `handoff up`: routing publishes it then"
            yield warning(f"{files[name]} was changed, and is not in force", where=str(files[name]), fix=fix)


def _comes_next(name: str, text: bytes, path: Path, there: Published | None) -> bool:
    """Whether routing would publish a file, if it is right: it is not the last version that came from a file.

    The built-in sample never comes after a file: whoever runs routing has one of their own then.
    """
    last = there.digests[name] if there else None
    return hashlib.sha256(text).hexdigest() != last and not (last and path.is_relative_to(DEFAULTS))


def _missing(there: Published) -> Iterator[Finding]:
    """Reps whom the rules in force send records to, and whom the directory in force does not have, or not as active."""
    if not there.rules or not there.directory:
        return
    active = {rep.rep_id: rep.active for rep in there.directory.content.reps}
    version = f"directory v{there.directory.version}"
    fix = f"let them be in the directory and active, or take them out of the rules ({variable('directory')}, {variable('rules')})"

    def state(rep_id: str) -> str:
        return "not active" if rep_id in active else "not there"

    rules = there.rules.content
    for name, members in rules.pools.items():
        away = [member.rep_id for member in members if not active.get(member.rep_id)]
        told = ", ".join(f"{rep_id} is {state(rep_id)}" for rep_id in away)
        if len(away) == len(members):
            yield error(f"pool {name!r} has nobody who could take a record: in {version}, {told}", where=f"pool {name}", fix=fix)
        elif away:
            yield warning(f"pool {name!r}: in {version}, {told}", where=f"pool {name}", fix=fix)
    for territory in rules.territories:
        if isinstance(territory.target, RepTarget) and not active.get(territory.target.rep_id):
            rep_id = territory.target.rep_id
            yield error(
                f"territory {territory.name!r} sends records to {rep_id}, who is {state(rep_id)} in {version}",
                where=f"territory {territory.name}",
                fix=fix,
            )


def _number(known: Known[RuleSet] | Known[Directory] | None) -> str:
    return str(known.version) if known else "-"
