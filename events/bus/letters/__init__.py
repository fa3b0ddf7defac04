"""Dead letters: the records that a service could not take in, kept in its database until somebody has dealt with them.

``dead_letter`` holds what came, byte for byte, and why it could not be taken in; nobody changes it. Beside it stand a line for
each letter (``letter``: whether it waits, and by what it is found), what was done about them (``letter_act``), and how many wait
(``letter_count``), all written in the same transactions. A letter is done with when it is replayed, which means published once
more to the log that it came from, or dropped. Both are noted, and a while later the letter is forgotten; one that waits never is.

:mod:`.tables` writes letters, :mod:`.keeping` holds and publishes them, :mod:`.selection` finds them, and :mod:`.office` is what
operators come to.
"""

from events.bus.letters.keeping import Letters
from events.bus.letters.selection import Buried, letters_of
from events.bus.letters.tables import DeadLetter, letters_after

__all__ = ["Buried", "DeadLetter", "Letters", "letters_after", "letters_of"]
