"""Where the services keep what they wrote: how it is named to people, what mends it, and how a service forgets what it has read."""

from collections.abc import Iterable
from pathlib import Path
from shlex import quote

from msgspec import Struct

from events.bus.database.setting import named
from handoff.settings import variable


class Files(Struct, frozen=True):
    """An SQLite file for each service, in a folder."""

    folder: Path

    @property
    def where(self) -> str:
        """Where all of them are."""
        return str(self.folder)

    @property
    def setting(self) -> str:
        """The variable that says so."""
        return variable("data_dir")

    @property
    def mend(self) -> str:
        """What to do where one cannot be read."""
        return f"restore it from a copy, or choose another directory with {self.setting}"

    def file(self, service: str) -> Path:
        """The file of a service."""
        return self.folder / f"{service}.sqlite"

    def of(self, service: str) -> str:
        """The database of a service."""
        return f"{service}'s database {self.file(service)}"

    def forget(self, service: str, topics: Iterable[str]) -> str:
        """The command after which a service, stopped before, reads these topics from their beginning; recover.md has it too."""
        return f'sqlite3 {quote(str(self.file(service)))} "{_delete("position", topics)}"'


class Schemas(Struct, frozen=True):
    """A schema for each service, in a PostgreSQL database. No word of it tells the password."""

    url: str

    @property
    def where(self) -> str:
        """Where all of them are."""
        return named(self.url)

    @property
    def setting(self) -> str:
        """The variable that says so."""
        return variable("database")

    @property
    def mend(self) -> str:
        """What to do where one cannot be read."""
        return f"start that server, or see that it lets this user in; if it is another one than yours, correct {self.setting}"

    def of(self, service: str) -> str:
        """The database of a service."""
        return f"{service}'s schema in {self.where}"

    def forget(self, service: str, topics: Iterable[str]) -> str:
        """The command after which a service, stopped before, reads these topics from their beginning; recover.md has it too."""
        return f'psql "${self.setting}" -c "{_delete(f"{service}.position", topics)}"'


Databases = Files | Schemas


def _delete(table: str, topics: Iterable[str]) -> str:
    named_topics = ", ".join(f"'{topic}'" for topic in topics)
    return f"DELETE FROM {table} WHERE topic IN ({named_topics})"
