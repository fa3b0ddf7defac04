"""Every setting of an installation, wherever it is read: by the command line and its stack, by a service, or by the embedded Kafka.

:func:`all_settings` says what there is, and depends on the code alone; :func:`effective` says what is in force in this process's
environment: value, where it comes from, and what is wrong with it. Passwords are masked.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

from msgspec import Struct
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from handoff.settings import PREFIX, Settings, variable
from services.forecast.settings import Settings as ForecastSettings
from services.lifecycle.settings import Settings as LifecycleSettings
from services.routing.settings import Settings as RoutingSettings

Origin = Literal["default", "environment"]

STACK: Final = "handoff"
"""Who reads what is not a service's: the command line with the stack that it starts."""
READERS: Final[Mapping[str, type[BaseSettings]]] = {
    STACK: Settings,
    "lifecycle": LifecycleSettings,
    "routing": RoutingSettings,
    "forecast": ForecastSettings,
}
BUILT_IN: Final = "built in"
NONE: Final = "none"
MASK: Final = "***"

_PASSWORD_OF_URL: Final = re.compile(r"(?<=://)([^/@:\s]*):\S*(?=@)")
_PASSWORD_NAMED: Final = re.compile(r"(?i)\b(password|passwd|secret|token|api_key|sslpassword)=[^&;\s]*")


class Setting(Struct, frozen=True, kw_only=True):
    """One setting. ``name``: its variable; ``default``: as it would be written, or in words; ``services``: who reads it."""

    name: str
    default: str
    meaning: str
    services: tuple[str, ...]


class Effective(Struct, frozen=True, kw_only=True):
    """A setting as it is in force. ``problem``: why its value is not accepted, else None."""

    setting: Setting
    value: str
    origin: Origin
    problem: str | None


_MACHINE: Final = (
    Setting(
        name=variable("cache_dir"),
        default="~/.cache/handoff",
        meaning="Where the jars of the Kafka that is started are kept.",
        services=(STACK,),
    ),
    Setting(
        name=variable("java"),
        default="JAVA_HOME, PATH, bundled",
        meaning="The `java` that runs it: a path, or `bundled` for the one that was installed with Handoff.",
        services=(STACK,),
    ),
    Setting(
        name=variable("maven_url"),
        default="Maven Central",
        meaning="Where the jars are fetched from.",
        services=(STACK,),
    ),
)
"""Read by :mod:`handoff.broker`, which needs no settings of the stack."""


def all_settings() -> list[Setting]:
    """Every setting, once, in the order in which their readers list them: the stack, the services, the embedded Kafka."""
    found: dict[str, Setting] = {}
    for reader, settings in READERS.items():
        for field, info in settings.model_fields.items():
            name = variable(field)
            if known := found.get(name):
                found[name] = Setting(name=name, default=known.default, meaning=known.meaning, services=(*known.services, reader))
            else:
                found[name] = Setting(name=name, default=_default(info), meaning=info.description or "", services=(reader,))
    return [*found.values(), *_MACHINE]


def effective() -> list[Effective]:
    """Every setting as this process's environment makes it."""
    given = {name.upper(): text for name, text in os.environ.items() if name.upper().startswith(PREFIX) and text}
    problems = _problems()
    return [
        Effective(
            setting=setting,
            value=masked(given.get(setting.name, setting.default)),
            origin="environment" if setting.name in given else "default",
            problem=problems.get(setting.name),
        )
        for setting in all_settings()
    ]


def masked(text: str) -> str:
    """A value as it may be shown: what looks like a password in a URL or a connection string is not."""
    return _PASSWORD_NAMED.sub(rf"\1={MASK}", _PASSWORD_OF_URL.sub(rf"\1:{MASK}", text))


def _problems() -> dict[str, str]:
    """What the readers do not accept, by variable; a setting that several of them read is complained about once."""
    found: dict[str, str] = {}
    for settings in READERS.values():
        try:
            settings()
        except ValidationError as error:
            for each in error.errors():
                found.setdefault(variable(str(each["loc"][0])), masked(each["msg"].removeprefix("Value error, ")))
    return found


def _default(info: FieldInfo) -> str:
    default: Any = info.default
    match default:
        case None:
            return NONE
        case bool():
            return str(default).lower()
        case float():
            return f"{default:g}"
        case Path() if default.is_absolute():
            return BUILT_IN
        case _:
            return str(default)
