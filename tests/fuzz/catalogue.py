"""Which targets there are, by name."""

from collections.abc import Mapping
from typing import Final

from tests.fuzz.target import Target
from tests.fuzz.targets import records, requests, texts

TARGETS: Final[Mapping[str, Target]] = {each.name: each for module in (records, texts, requests) for each in module.TARGETS}
