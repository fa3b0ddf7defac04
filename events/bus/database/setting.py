"""The setting ``HANDOFF_DATABASE``, checked without touching a database. A password never gets into an error."""

import re
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

SQLITE: Final = "sqlite"
EXAMPLE: Final = "postgresql://user:password@host:5432/database"

_SCHEMES: Final = ("postgresql", "postgres")
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]{0,30}", re.IGNORECASE)
_HOST: Final = re.compile(r"(\[[^\[\]]+\]|[^:\[\]]*)(:\d{1,5})?")


def checked(database: str) -> str:
    """The setting as it is. Raises ``ValueError`` for what is neither ``sqlite`` nor the URL of a PostgreSQL database."""
    if database == SQLITE:
        return database
    scheme, colon, rest = database.partition(":")
    if scheme not in _SCHEMES or not rest.startswith("//"):
        named = repr(scheme) if (colon and _SCHEME.fullmatch(scheme)) or database.isalnum() else "this"
        raise ValueError(f"{named} is not supported: use sqlite, or {EXAMPLE}")
    if not _is_whole(database):
        raise ValueError(
            f"this is not a URL such as {EXAMPLE}: in user and password, write @ as %40, / as %2F, : as %3A, # as %23, ? as %3F"
        )
    url = urlsplit(database)
    if not url.path.strip("/") and "dbname=" not in url.query:
        raise ValueError(f"the URL names no database: it ends with one, as in {EXAMPLE}")
    return database


def named(database: str) -> str:
    """The server and the database that a URL names, as it writes them: neither who is let in nor the password."""
    url = urlsplit(database)
    asked = {name: values[-1] for name, values in parse_qs(url.query).items()}
    host = asked.get("host") or unquote(url.netloc.rpartition("@")[2])
    place = ":".join(filter(None, (host, asked.get("port"))))
    return f"database {asked.get('dbname') or unquote(url.path.strip('/'))!r} of PostgreSQL at {place}"


def _is_whole(database: str) -> bool:
    """Whether the URL falls into its parts as it was meant: characters that are not escaped move the borders."""
    try:
        url = urlsplit(database)
    except ValueError:
        return False
    credentials, _, hosts = url.netloc.rpartition("@")
    return (
        "@" not in credentials
        and credentials.count(":") <= 1
        and not url.fragment
        and "@" not in url.path + url.query
        and "/" not in url.path.strip("/")
        and not any(character.isspace() for character in database)
        and all(_HOST.fullmatch(host) for host in hosts.split(","))
        and (bool(hosts) or "host=" in url.query)
    )
