"""What the demo shows: on a terminal of any size, and line by line in a pipe."""

import re

import pytest
from msgspec.structs import replace
from rich.console import Console

from handoff.demo.lines import figures, lines
from handoff.demo.scene import Scene
from handoff.demo.screen import screen
from handoff.settings import SERVICES

from .demo_scenes import scene


def drawn(shown: Scene, width: int, height: int) -> list[str]:
    console = Console(width=width, height=height, force_terminal=True, color_system=None, legacy_windows=False)
    with console.capture() as captured:
        console.print(screen(shown, width, height))
    return [line.rstrip() for line in re.sub(r"\x1b\]8;.*?\x1b\\", "", captured.get()).splitlines()]


SMALL = """\
Handoff demo  2026-01-17  ━━━━━━━━━━━───────── 55%  8,123 facts, 64/s
Pipeline by stage, EUR                               open      amount   weighted
Opportunity Identified                                 23     297,965     29,796
In Discussion                                           0           0          0
Identified Decision Makers                              0           0          0
Proposal                                               87     988,824    494,412
In Negotiation                                         15     239,890    179,918
Purchasing                                              0           0          0
all open                                              155   1,811,801    720,946
  of that, with customers                              20     211,801     70,946
won                                                   245   1,948,067
lost                                                  351   3,111,282
Forecast by quarter, EUR            won      amount  open      amount   expected
2025-Q4                               6      35,000     3       3,000     35,300
2026-Q1  now                          8      45,000     4       4,000     45,400
2026-Q2                              10      55,000     5       5,000     55,500
weighted: amount * probability; expected: won + weighted; behind: records to do
Assigned     customer  rep     why (40 in all)
01-16 23:00  C-1039    chiara  EMEA Enterprise (DE, 2,300 employees): weighted …
01-16 22:00  C-1038    chiara  EMEA Enterprise (DE, 2,300 employees): weighted …
01-16 21:00  C-1037    chiara  EMEA Enterprise (DE, 2,300 employees): weighted …
Behind  lifecycle 0, routing 17, forecast 34   Dead letters  lifecycle 12
lifecycle  header ce_time: number 11 has no offset: add Z or +01:00, for example
Open  http://127.0.0.1:8083/v1/pipeline  lifecycle :8081  routing :8082
"""


def test_the_smallest_terminal_shows_everything() -> None:
    assert drawn(scene(), 80, 24) == SMALL.splitlines()


@pytest.mark.parametrize("width", [1, 20, 79, 80, 100, 131, 132, 170, 250])
@pytest.mark.parametrize("height", [1, 2, 9, 23, 24, 25, 30, 33, 42, 60])
def test_a_screen_fits_its_terminal(width: int, height: int) -> None:
    for shown in (scene(), scene(0, assigned=0, buried=0, pipeline=None), scene(assigned=2, buried=1, note="Kafka ended; " * 30)):
        found = drawn(shown, width, height)
        assert len(found) <= height
        assert max(map(len, found)) <= width


def test_a_taller_terminal_shows_more_quarters_and_assignments() -> None:
    def count(found: list[str], pattern: str) -> int:
        return sum(re.match(pattern, line) is not None for line in found)

    tall = drawn(scene(), 80, 50)
    assert count(tall, r"20\d\d-Q\d") == 7
    assert count(tall, r"\d\d-\d\d \d\d:\d\d") == 50 - 18 - 7


def test_a_wide_terminal_has_two_columns_and_whole_reasons() -> None:
    found = drawn(scene(), 170, 42)
    together = next(line for line in found if line.startswith("Pipeline by stage"))
    assert "Assigned     customer  rep     why (40 in all)" in together
    assert sum("EMEA Enterprise (DE, 2,300 employees): weighted round robin" in line for line in found) == 32
    assert sum(line.startswith("2026-Q") for line in found) == 4


def test_before_the_first_figures_there_are_headings_and_addresses() -> None:
    found = drawn(scene(0, assigned=0, buried=0, pipeline=None), 80, 24)
    assert found[0].startswith("Handoff demo  2025-07-01")
    assert "Dead letters  none" in found[-2]
    assert found[-1].startswith("Open  http://127.0.0.1:8083/v1/pipeline")


def test_addresses_with_longer_ports_fit_too() -> None:
    urls = {name: f"http://127.0.0.1:1808{place}" for place, name in enumerate(SERVICES)}
    assert drawn(replace(scene(), addresses=urls), 80, 24)[-1] == (
        "Open  http://127.0.0.1:18082/v1/pipeline  lifecycle :18080  routing :18081"
    )


def test_what_happened_to_a_process_takes_the_place_of_the_addresses() -> None:
    found = drawn(scene(note="routing was ended by SIGKILL; it is started again"), 80, 24)
    assert found[-1] == "routing was ended by SIGKILL; it is started again"


def test_a_terminal_without_room_for_tables_tells_the_most_of_it() -> None:
    assert drawn(scene(note="Kafka ended; it is started again"), 60, 12) == [
        "Handoff demo 2026-01-17 55%",
        "Kafka ended; it is started again",
        "open 155 of 1,811,801 EUR",
        "won  245 of 1,948,067",
        "lost 351 of 3,111,282",
        "40 assigned, 12 dead letters",
        "C-1039 to chiara: EMEA Enterprise (DE, 2,300 employees): we…",
        "C-1038 to chiara: EMEA Enterprise (DE, 2,300 employees): we…",
        "C-1037 to chiara: EMEA Enterprise (DE, 2,300 employees): we…",
        "80 columns and 24 rows show more",
    ]


def test_where_the_encoding_has_no_lines_the_bar_is_plain() -> None:
    console = Console(width=80, height=24, force_terminal=True, color_system=None, legacy_windows=False)
    with console.capture() as captured:
        console.print(screen(scene(), 80, 24, ascii_only=True))
    assert "2026-01-17  ###########--------- 55%" in captured.get()


def test_a_wide_terminal_shows_whole_addresses() -> None:
    assert drawn(scene(), 132, 24)[-1] == (
        "Open  lifecycle 127.0.0.1:8081/v1/status  routing 127.0.0.1:8082/v1/status  forecast 127.0.0.1:8083/v1/pipeline?by=team"
    )


def test_the_figures_are_explained_on_every_screen_of_tables() -> None:
    for width in (80, 132):
        assert any(line.startswith("weighted: amount * probability; expected: won + ") for line in drawn(scene(), width, 24))


def test_text_of_others_is_no_markup() -> None:
    shown = scene(assigned=0, buried=0, note="[bold]not bold[/bold] [link=x]")
    assert drawn(shown, 80, 24)[-1] == "[bold]not bold[/bold] [link=x]"


# -------------------------------------------------------------------------------------------- lines


def test_lines_tell_the_same_in_a_pipe() -> None:
    assert list(figures(scene())) == [
        "  open 155 of 1,811,801 (720,946 weighted); won 245 of 1,948,067; lost 351 of 3,111,282, in EUR",
        "  Opportunity Identified 23 of 297,965 (29,796 weighted); Proposal 87 of 988,824 (494,412 weighted);"
        " In Negotiation 15 of 239,890 (179,918 weighted)",
        "  with prospects 135 of 1,600,000 (650,000 weighted); with customers 20 of 211,801 (70,946 weighted)",
        "  2025-Q4: won 6 of 35,000; open 3 of 3,000 (300 weighted); expected 35,300",
        "  2026-Q1: won 8 of 45,000; open 4 of 4,000 (400 weighted); expected 45,400",
        "  2026-Q2: won 10 of 55,000; open 5 of 5,000 (500 weighted); expected 55,500",
        "  2026-Q3: won 12 of 65,000; open 6 of 6,000 (600 weighted); expected 65,600",
    ]


def test_lines_tell_what_is_new() -> None:
    told = list(lines(scene(assigned=42, buried=12), scene(assigned=40, buried=12)))
    assert told[0] == (
        "2026-01-17 (55% of the year): 8,123 facts, 64/s; 42 assigned; behind: lifecycle 0, routing 17, forecast 34; "
        "dead letters: lifecycle 12, routing 0, forecast 0"
    )
    assert [line.split()[3] for line in told if line.startswith("  assigned")] == ["C-1040", "C-1041"]
    assert not [line for line in told if line.startswith("  dead letter")]


def test_the_first_lines_tell_no_more_than_a_few_of_each() -> None:
    told = list(lines(scene(), None))
    assert sum(line.startswith("  assigned") for line in told) == 3
    assert [line for line in told if line.startswith("  dead letter")][-1] == (
        "  dead letter of lifecycle  header ce_time: number 11 has no offset: add Z or +01:00, for example"
    )


def test_without_figures_a_line_says_how_far_it_is() -> None:
    assert len(list(lines(scene(0, assigned=0, buried=0, pipeline=None), None))) == 1
