"""Other inputs out of some, decided by a random generator: for where no fuzzer is, and always the same for a seed."""

from collections.abc import Sequence
from random import Random
from typing import Final

from tests.fuzz.target import INPUT_BYTES_MAX

CHANGES_MAX: Final = 4
_BYTES: Final = (0x00, 0x09, 0x0A, 0x20, 0x22, 0x27, 0x25, 0x2C, 0x3A, 0x5B, 0x5C, 0x5D, 0x7B, 0x7D, 0x7F, 0x80, 0xC0, 0xED, 0xFF)


def mutated(corpus: Sequence[bytes], words: Sequence[bytes], random: Random) -> bytes:
    """An input of the corpus with a few changes: bytes, words, pieces taken out, doubled, or from another input."""
    data = bytearray(random.choice(corpus))
    for _ in range(random.randint(1, CHANGES_MAX)):
        at, to = sorted(random.randrange(len(data) + 1) for _ in range(2))
        to = min(to, at + random.choice((1, 4, 64, len(data))))
        match random.randrange(7):
            case 0:
                data[at:to] = b""
            case 1:
                data[at:at] = data[at:to] * random.choice((1, 2, 50))
            case 2:
                data[at : at + 1] = bytes([random.choice(_BYTES)])
            case 3 if words:
                data[at:to] = random.choice(words)
            case 4 if words:
                data[at:at] = random.choice(words)
            case 5:
                other = random.choice(corpus)
                data[at:to] = other[random.randrange(len(other) + 1) :][: random.choice((8, 200, 5000))]
            case _:
                data[at : at + 1] = random.randbytes(1)
    return bytes(data[:INPUT_BYTES_MAX])
