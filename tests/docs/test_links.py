"""Links within the documentation lead somewhere: to files that exist, and to headings of them."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.generator.markdown import anchor

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!\!)\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)


def text_of(page: Path) -> str:
    """The page without its blocks of code."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings; of equal ones the second ends with -1."""
    found: dict[str, int] = {}
    made = set()
    for heading in _HEADING.findall(text_of(page)):
        name = anchor(re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading))
        made.add(f"{name}-{found[name]}" if name in found else name)
        found[name] = found.get(name, 0) + 1
    return made


def links(page: Path) -> Iterator[str]:
    """The links of a page that stay within the repository."""
    return (link for link in _LINK.findall(text_of(page)) if not re.match(r"[a-z]+:", link))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        path, _, fragment = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link}: there is no {target}"
        assert target.is_relative_to(ROOT), f"{link} leads out of the repository"
        if fragment:
            assert fragment in anchors(target), f"{link}: {target.name} has no such heading, only {sorted(anchors(target))}"


def test_links_are_found() -> None:
    assert any(True for page in PAGES for _ in links(page))


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        targets = {(page.parent / link.partition("#")[0]).resolve() for link in links(page) if not link.startswith("#")}
        waiting += [target for target in targets - reached if target.suffix == ".md" and target.exists()]
    assert not [str(page.relative_to(ROOT)) for page in PAGES if page not in reached]
