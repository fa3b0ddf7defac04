"""This machine: Python and libraries, Java, the data directory and its disk."""

from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from events.environment import Unknown
from handoff.broker.java import Java
from handoff.doctor.finding import Finding, Outcome, error, skipped, warning
from handoff.settings import variable

MIB: Final = 1 << 20
FREE_ERROR: Final = 256 * MIB
"""Kafka and SQLite need room to write before they delete: below this a busy hour may end both."""
FREE_WARNING: Final = 2048 * MIB
SETUP: Final = "`make setup` installs what requirements.lock names (or: pip install --upgrade handoff)"


def installed(name: str) -> str | None:
    """The version of a package that is installed; None where it is not."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def versions(
    python: str, requires_python: str, required: Sequence[str], installed: Callable[[str], str | None] = installed
) -> Outcome:
    """Python and the libraries, as installed, against what the package's own metadata asks for."""
    findings: list[Finding] = []
    if not SpecifierSet(requires_python).contains(python, prereleases=True):
        findings.append(
            error(
                f"Python is {python}, and Handoff needs {requires_python}",
                where="python",
                fix="use a newer Python: make setup PYTHON=python3.12",
            )
        )
    count = 0
    for text in required:
        wanted = Requirement(text)
        if wanted.marker is not None and not wanted.marker.evaluate():
            continue
        count += 1
        there = installed(wanted.name)
        if there is None:
            findings.append(error(f"{wanted.name} is not installed", where=wanted.name, fix=SETUP))
        elif not wanted.specifier.contains(there, prereleases=True):
            findings.append(error(f"{wanted.name} is {there}, and Handoff needs {wanted.specifier}", where=wanted.name, fix=SETUP))
    return Outcome(check="versions", said=f"Python {python}, {count} libraries", findings=tuple(findings))


def java(found: Java | str | None) -> Outcome:
    """The Java that runs the Kafka of `handoff up`: found, or why not; None where a cluster is named."""
    if found is None:
        return skipped("java", f"{variable('kafka')} names a cluster: none is needed")
    if isinstance(found, Java):
        return Outcome(check="java", said=f"Java {found.major} ({found.executable})")
    fix = f"install Java 17 or newer, or set {variable('java')} to the path of one, or to `bundled`"
    return Outcome(check="java", said="none that Kafka could run on", findings=(error(found, where=variable("java"), fix=fix),))


def disk(data_dir: Path, free: int, *, writable: bool) -> Outcome:
    """The data directory: whether it can be written to, and how much room there is (bytes)."""
    findings: list[Finding] = []
    move = f"make room, or move it and name the new place with {variable('data_dir')}"
    if not writable:
        findings.append(
            error(
                f"{data_dir} cannot be written to by this user",
                where=str(data_dir),
                fix=f"give this user the directory, or choose another with {variable('data_dir')}",
            )
        )
    if free < FREE_ERROR:
        findings.append(
            error(
                f"only {free // MIB} MiB are free: Kafka and the services stop when the disk is full", where=str(data_dir), fix=move
            )
        )
    elif free < FREE_WARNING:
        findings.append(warning(f"only {free // MIB} MiB are free", where=str(data_dir), fix=move))
    return Outcome(check="disk", said=f"{free / (1 << 30):.1f} GiB free for {data_dir}", findings=tuple(findings))


def environment(strange: Sequence[Unknown], problems: Mapping[str, str]) -> Outcome:
    """Settings: variables that nobody reads, and values that their readers do not accept."""
    findings = [
        error(f"{name}: {problem}", where=name, fix=f"correct or unset {name}; `handoff config` shows all")
        for name, problem in problems.items()
    ]
    for each in strange:
        fix = f"rename it to {each.meant}" if each.meant else f"unset {each.name}; `handoff config` lists what there is"
        findings.append(warning(f"{each.name} is set, and nothing reads it", where=each.name, fix=fix))
    return Outcome(check="settings", said="as `handoff config` shows them", findings=tuple(findings))
