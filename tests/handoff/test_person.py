"""Who decides, where nobody says it."""

import getpass

import pytest

from handoff.person import NOBODY, person


def test_whoever_is_logged_in_unless_another_is_said() -> None:
    assert person() == getpass.getuser()
    assert person("dana") == "dana"


@pytest.mark.parametrize("error", [KeyError("getpwuid(): uid not found: 12345"), OSError("No username set in the environment")])
def test_a_machine_without_a_name_for_its_user(error: Exception) -> None:
    """Python before 3.13 raises the one, later the other."""

    def nobody() -> str:
        raise error

    assert person(logged_in=nobody) == NOBODY
