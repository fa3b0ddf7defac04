"""The settings of the demo: those of the stack, on a data directory of its own, and with simulated time."""

from typing import Final, Self

from handoff.errors import CommandError
from handoff.settings import Settings, variable

FOLDER: Final = "demo"
"""The demo's directory in the data directory."""


class DemoSettings(Settings):
    """Time passes by the simulator's ticks, not by the machine's clock."""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The demo's settings beside those of ``handoff up``. Raises ``CommandError`` where a cluster is named."""
        if settings.kafka:
            raise CommandError(
                f"{variable('kafka')} names a cluster ({settings.kafka}), but a demo needs one of its own, made anew, "
                f"with simulated time: unset {variable('kafka')}"
            )
        return cls(**{**settings.model_dump(), "data_dir": settings.data_dir / FOLDER})

    def environment(self) -> dict[str, str]:
        """The environment of the services. Whatever database is set, theirs are files, made anew with everything else."""
        return {**super().environment(), variable("ticks"): "false", variable("database"): "sqlite"}
