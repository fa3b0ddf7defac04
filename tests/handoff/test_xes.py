"""Reading event logs in XES: what a log says, and files that are damaged, hostile or something else."""

import gzip
from collections.abc import Iterable
from pathlib import Path

import pytest

from handoff.errors import USAGE, CommandError
from handoff.importing.rejected import Rejected, Unusable
from handoff.importing.xes import DEPTH_MAX, EVENTS_MAX, TAG_BYTES_MAX, VALUE_CHARACTERS_MAX, Trace, XesLog

KEYS = ("concept:name", "cost")
EVENT = '<event><string key="concept:name" value="go"/></event>\n'


def trace(name: str, inside: str = EVENT) -> str:
    """A trace on three lines."""
    return f'<trace><string key="concept:name" value="{name}"/>\n{inside}</trace>\n'


def log(*traces: str) -> str:
    """The traces begin on line 2."""
    return f"<log>\n{''.join(traces)}</log>\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "log.xes.gz"


def read(file: Path, content: str | bytes, *, packed: bool = True) -> list[Trace | Rejected]:
    """What is read of a file with this content."""
    raw = content.encode() if isinstance(content, str) else content
    file.write_bytes(gzip.compress(raw) if packed else raw)
    return list(XesLog(file, KEYS).traces())


def told(found: Iterable[Trace | Rejected]) -> list[str]:
    """Names of traces, and what was rejected."""
    return [f"{one.place} {one.reason}" if isinstance(one, Rejected) else one.text("concept:name") for one in found]


@pytest.mark.parametrize("packed", [True, False])
def test_traces_with_their_events_and_places(file: Path, packed: bool) -> None:
    first, second = read(file, log(trace("a", EVENT * 2), trace("b", "")), packed=packed)
    assert isinstance(first, Trace)
    assert isinstance(second, Trace)
    assert (first.line, first.values, [event.line for event in first.events]) == (2, {"concept:name": "a"}, [3, 4])
    assert [event.text("concept:name") for event in first.events] == ["go", "go"]
    assert (second.line, second.events) == (6, [])


def test_only_wanted_attributes_of_traces_and_events_count(file: Path) -> None:
    inside = (
        '<string key="other" value="x"/><container key="cost"><float key="concept:name" value="deep"/></container>\n'
        '<float key="cost" value="1.5"><string key="concept:name" value="a note on the cost"/></float>\n'
        '<event><string key="cost" value=""/><list key="x"><string key="concept:name" value="listed"/></list></event>'
    )
    outside = '<global scope="trace"><string key="concept:name" value="UNKNOWN"/></global><event/><string key="cost" value="9"/>'
    (one,) = read(file, log(outside, trace("a", inside)))
    assert isinstance(one, Trace)
    assert one.values == {"concept:name": "a", "cost": "1.5"}
    (event,) = one.events
    assert event.maybe("cost") is None
    with pytest.raises(Unusable, match="concept:name is missing"):
        event.text("concept:name")


def test_spellings_of_the_same_log(file: Path) -> None:
    plain = log(trace("Ünal"))
    other = (
        f'<?xml version="1.0" encoding="{{}}"?><!-- log --><x:log xmlns:x="http://www.xes-standard.org/">{trace("Ünal")}</x:log>'
    )
    other = other.replace("<trace", "<x:trace").replace("</trace", "</x:trace")
    assert told(read(file, plain)) == ["Ünal"]
    assert told(read(file, "\ufeff" + plain)) == ["Ünal"]
    assert told(read(file, other.format("utf-16").encode("utf-16"))) == ["Ünal"]
    assert told(read(file, other.format("iso-8859-1").encode("iso-8859-1"))) == ["Ünal"]


def test_the_share_that_is_read_grows_to_one(tmp_path: Path) -> None:
    file = tmp_path / "log.xes"
    file.write_text(log(*(trace(f"{n:06}") for n in range(5000))))
    reading = XesLog(file, KEYS)
    shares = [round(reading.share, 2) for _ in reading.traces()]
    assert shares == sorted(shares)
    assert 0 < shares[0] < 0.5
    assert (reading.share, reading.read) == (1.0, 5000)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "there is no tag in it"),
        ("  \n", "there is no tag in it"),
        ("opportunity_id,amount\nO1,5\n", "not XML from column 1 on (syntax error)"),
        ("<html><body/></html>", "its first tag is <html>, not <log>"),
        (b"\x89PNG\r\n\x1a\n", "not XML from column 1 on (not well-formed (invalid token))"),
        (
            '<?xml version="1.0" encoding="klingon"?><log/>',
            "its encoding cannot be read (unknown encoding: klingon): save it as UTF-8",
        ),
        ('<?xml version="1.0" encoding="big5"?><log/>', "its encoding cannot be read"),
        ('<!DOCTYPE log [<!ENTITY a "aaaaaaaa">]><log>&a;</log>', "it has a document type (<!DOCTYPE)"),
        ('<!DOCTYPE log SYSTEM "file:///etc/passwd"><log/>', "it has a document type (<!DOCTYPE)"),
        (f"<!-- {'x' * 2 * TAG_BYTES_MAX} --><log/>", f"no tag begins within {TAG_BYTES_MAX:,} bytes"),
        (" " * 2 * TAG_BYTES_MAX, f"no tag begins within {TAG_BYTES_MAX:,} bytes"),
        (f"<{'x' * 2 * TAG_BYTES_MAX}/>", f"no tag begins within {TAG_BYTES_MAX:,} bytes"),
    ],
    ids=lambda value: repr(value[:20]),
)
def test_what_is_no_log_stops_the_import(file: Path, content: str | bytes, reason: str) -> None:
    with pytest.raises(CommandError) as caught:
        read(file, content)
    assert caught.value.code == USAGE
    assert str(caught.value).startswith(f"{file} is no XES log: {reason}")
    assert len(str(caught.value)) < 400


def test_a_file_that_cannot_be_read_stops_the_import(tmp_path: Path) -> None:
    for file, reason in [(tmp_path / "none.xes", "No such file or directory"), (tmp_path, "Is a directory")]:
        with pytest.raises(CommandError) as caught:
            list(XesLog(file, KEYS).traces())
        assert str(caught.value) == f"{file} cannot be read: {reason}"


@pytest.mark.parametrize("content", [b"\x1f\x8b", b"\x1f\x8bnot gzip at all"])
def test_a_gzip_file_that_is_none_stops_the_import(file: Path, content: bytes) -> None:
    with pytest.raises(CommandError, match=r"is no XES log: the gzip file is (cut off|damaged)"):
        read(file, content, packed=False)


BREAKS = [
    ("<trace><event>", "the file ends in the middle; nothing is read from here on; a trace without a name: is not taken over"),
    ("", "the file ends in the middle; nothing is read from here on"),
    ("<trace></log>", "not XML from column 10 on (mismatched tag); nothing is read from here on; a trace without a name"),
    ('<trace><string key="x" value="&bomb;"/>', "not XML from column 8 on (undefined entity)"),
    ("<trace>\x00", "not XML from column 8 on (not well-formed (invalid token))"),
    ("<a>" * (DEPTH_MAX + 1), f"tags are nested more than {DEPTH_MAX} deep"),
    ("<trace>" + "x" * 2 * TAG_BYTES_MAX, f"no tag begins within {TAG_BYTES_MAX:,} bytes"),
    (f'<trace><string key="{"x" * 2 * TAG_BYTES_MAX}"/>', f"no tag begins within {TAG_BYTES_MAX:,} bytes"),
]


@pytest.mark.parametrize(("rest", "reason"), BREAKS, ids=lambda text: repr(text[:20]))
def test_what_comes_before_the_place_where_a_file_breaks_is_taken(file: Path, rest: str, reason: str) -> None:
    *before, broken = told(read(file, f"<log>\n{trace('a')}{trace('b')}{rest}"))
    assert before == ["a", "b"]
    assert broken.startswith(f"log.xes.gz:8 {reason}")
    assert len(broken) < 400


def test_a_gzip_file_that_is_cut_off_costs_what_follows(file: Path) -> None:
    whole = gzip.compress(log(*(trace(f"{n:06}", EVENT * (n % 7)) for n in range(20_000))).encode())
    found = told(read(file, whole[: len(whole) // 2], packed=False))
    assert 1000 < len(found) < 20_000
    assert found[:-1] == [f"{n:06}" for n in range(len(found) - 1)]
    assert "the gzip file is cut off: get it again; nothing is read from here on" in found[-1]


def test_a_gzip_file_that_is_damaged_says_so(file: Path) -> None:
    packed = bytearray(gzip.compress(log(trace("a")).encode()))
    packed[-5] ^= 1  # in its checksum
    first, damage = told(read(file, bytes(packed), packed=False))
    assert first == "a"
    assert damage.startswith("log.xes.gz:6 the gzip file is damaged (CRC check failed")


def test_a_trace_over_a_limit_costs_itself_alone(file: Path) -> None:
    crowd = trace("crowd", EVENT * (EVENTS_MAX + 2))
    wordy = trace("wordy", EVENT + EVENT.replace("go", "x" * (VALUE_CHARACTERS_MAX + 1)))
    assert told(read(file, log(trace("a"), crowd, wordy, trace("b")))) == [
        "a",
        f"log.xes.gz:{5 + 1 + EVENTS_MAX} trace 'crowd': has more than 10,000 events",
        f"log.xes.gz:{5 + EVENTS_MAX + 6} trace 'wordy': concept:name has 1,001 characters, at most 1,000 are taken in",
        "b",
    ]
    full = read(file, log(trace("full", EVENT * EVENTS_MAX)))
    assert [len(one.events) for one in full if isinstance(one, Trace)] == [EVENTS_MAX]
