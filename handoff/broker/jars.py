"""The broker's jars on this machine: in goes the pinned list, out comes a class path of files that match it.

They are fetched from Maven by jgo, once per user, into a cache that all projects and processes share; later calls only
look at the sizes. A jar is fetched into a directory of its own, checked, and renamed into place: so every file in the
cache is whole, readers need no lock, and an interrupted run goes on where it stopped.
"""

import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from handoff.broker.errors import KafkaUnavailable
from handoff.broker.locks import LockedError, exclusive
from handoff.broker.pins import VERSION, Pin, digest, pinned

Progress = Callable[[str], None]
"""Is told, in a few words, what is being done."""

PARALLEL_FETCHES = 8
ATTEMPTS_MAX = 2
ANSWER_SECONDS_MAX = 15
OTHER_FETCH_SECONDS_MAX = 600


def silent(text: str) -> None:
    """The `Progress` that tells nobody."""


def cache_dir() -> Path:
    """Where this version's jars and start-up archives are kept: below HANDOFF_CACHE_DIR, or ~/.cache/handoff."""
    root = os.environ.get("HANDOFF_CACHE_DIR")
    return (Path(root) if root else Path.home() / ".cache" / "handoff").absolute() / f"kafka-{VERSION}"


def class_path(on_progress: Progress = silent, *, thorough: bool = False) -> str:
    """The class path of the broker; fetches what is missing.

    A jar is missing when it is absent or has another size than its pin; with `thorough`, also when its bytes differ.
    Raises `KafkaUnavailable`.
    """
    jars_dir = cache_dir() / "jars"
    try:
        if _missing(jars_dir, thorough=thorough):
            jars_dir.mkdir(parents=True, exist_ok=True)
            with exclusive(cache_dir() / "lock", OTHER_FETCH_SECONDS_MAX):
                _fetch_all(_missing(jars_dir, thorough=thorough), jars_dir, on_progress)
    except LockedError:
        raise KafkaUnavailable(
            f"another process has been fetching Kafka's jars into {cache_dir()} for {OTHER_FETCH_SECONDS_MAX} s: end it"
        ) from None
    except OSError as error:
        raise KafkaUnavailable(
            f"cache directory {cache_dir()} cannot be used ({error.strerror or error}): choose another with HANDOFF_CACHE_DIR"
        ) from error
    return os.pathsep.join(str(jars_dir / pin.file_name) for pin in pinned())


def _missing(jars_dir: Path, *, thorough: bool) -> list[Pin]:
    return [pin for pin in pinned() if not _matches(jars_dir / pin.file_name, pin, thorough=thorough)]


def _matches(jar: Path, pin: Pin, *, thorough: bool) -> bool:
    try:
        return jar.stat().st_size == pin.size and (not thorough or digest(jar) == pin.sha256)
    except FileNotFoundError:
        return False


def _fetch_all(missing: list[Pin], jars_dir: Path, on_progress: Progress) -> None:
    total = sum(pin.size for pin in missing)
    fetched, told = 0, -1
    with ThreadPoolExecutor(PARALLEL_FETCHES) as pool:
        fetches = {pool.submit(_fetch, pin, jars_dir): pin for pin in missing}
        try:
            for fetch in as_completed(fetches):
                fetch.result()
                fetched += fetches[fetch].size
                if (tenths := 10 * fetched // total) > told:  # at most eleven reports, however many jars
                    told = tenths
                    on_progress(f"fetching Kafka {VERSION} ({total / 1e6:.0f} MB): {10 * tenths} %")
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _fetch(pin: Pin, jars_dir: Path) -> None:
    """Fetch one jar, check it and put it in its place."""
    with tempfile.TemporaryDirectory(dir=jars_dir, prefix=".fetch-") as scratch:
        jar = _download(pin, Path(scratch))
        if not _matches(jar, pin, thorough=True):
            raise KafkaUnavailable(
                f"{pin.file_name} as fetched is not the file that was pinned ({jar.stat().st_size} bytes, SHA-256 "
                f"{digest(jar)[:12]}...; expected {pin.size} bytes, {pin.sha256[:12]}...): "
                "something between this machine and the Maven repository changed it; nothing was installed"
            )
        jar.replace(jars_dir / pin.file_name)


def _download(pin: Pin, scratch: Path) -> Path:
    from jgo.maven import MavenContext  # noqa: PLC0415 - takes 0.3 s, and only the first run on a machine needs it

    mirror = os.environ.get("HANDOFF_MAVEN_URL")
    failure: Exception | None = None
    for attempt in range(ATTEMPTS_MAX):
        context = MavenContext(
            repo_cache=scratch / str(attempt),  # an interrupted download leaves its truncated file behind
            remote_repos={"mirror": mirror.rstrip("/")} if mirror else None,
            timeout=ANSWER_SECONDS_MAX,
        )
        try:
            jar: Path = context.create_dependency(pin.coordinate).artifact.resolve()
        except (OSError, RuntimeError) as error:  # no connection or no answer; not found there
            failure = error
        else:
            return jar
    raise KafkaUnavailable(
        f"Kafka's jars are not all here and {pin.file_name} could not be fetched from "
        f"{mirror or 'Maven Central'} ({type(failure).__name__}): they are needed once; connect to the network, or "
        f"name a mirror with HANDOFF_MAVEN_URL, and run it again, or copy another machine's jars to {scratch.parent}"
    ) from failure
