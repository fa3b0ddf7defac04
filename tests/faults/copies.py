"""Copies of all databases, made while everything runs and put back while no service does: as docs/how-to/recover.md says."""

import os
import subprocess
from collections.abc import Collection
from pathlib import Path
from typing import Final

from events.bus.database import SQLITE
from tests.faults.plan import SERVICES
from tests.faults.site import Site
from tests.faults.stack import Stack
from tests.postgres import binaries

PROGRAM_SECONDS_MAX: Final = 120.0


class Copies:
    """Of one stack. ``folder``: where they lie."""

    def __init__(self, site: Site, stack: Stack, folder: Path) -> None:
        self._site = site
        self._stack = stack
        self._folder = folder
        self._made = 0

    def make(self) -> Path:
        """A copy of all databases as they are, each of its own moment."""
        self._made += 1
        copy = self._folder / f"copy-{self._made}"
        if self._site.database == SQLITE:
            self._handoff("backup", str(copy))
        else:
            copy.mkdir(parents=True)
            for service in SERVICES:
                file = f"--file={copy / service}.dump"
                self._program("pg_dump", "--format=custom", f"--schema={service}", file, self._site.database)
        return copy

    def put_back(self, copy: Path, services: Collection[str]) -> None:
        """The databases of some services become what they were. No service runs."""
        if self._site.database == SQLITE:
            only = [word for service in services for word in ("--only", service)]
            self._handoff("restore", str(copy), "--replace", *only)
            return
        for service in services:
            self._program("psql", self._site.database, "--quiet", "-c", f"DROP SCHEMA {service} CASCADE")
            self._program("pg_restore", f"--dbname={self._site.database}", "--exit-on-error", str(copy / f"{service}.dump"))
        if "lifecycle" in services:
            self._handoff("restored", "lifecycle")

    def _handoff(self, *arguments: str) -> None:
        done = self._stack.run(*arguments)
        assert done.returncode == 0, f"handoff {' '.join(arguments)}: {done.stderr}"

    def _program(self, name: str, *arguments: str) -> None:
        programs = binaries()
        assert programs is not None
        environment = {**os.environ, "PGOPTIONS": "--client-min-messages=warning"}
        done = subprocess.run(
            [str(programs / name), *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=PROGRAM_SECONDS_MAX,
        )
        assert done.returncode == 0, f"{name}: {done.stderr}"
