"""How the files of one source are to be read: its options, held against what its format takes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

from dialogue.config import FileSource, HubSource, WheelSource
from dialogue.privacy import STRUCTURED, Scrubber
from dialogue.privacy.excerpts import excerpt

_OPTIONS = ("columns", "roles", "labels", "select", "question")


@dataclass(frozen=True, slots=True)
class Reading:
    """A source's options; `where` is its place in params.yaml, for errors to name."""

    where: str
    max_row_bytes: int
    columns: Mapping[str, str] | None = None
    roles: Mapping[str, str] | None = None
    labels: Mapping[str, str] | None = None
    select: Mapping[str, str] | None = None
    question: str | None = None

    def label(self, found: str) -> str:
        """What a label is called here.

        Raises:
            ValueError: labels are named, but not this one.
        """
        if self.labels is None:
            return found
        if found not in self.labels:
            raise ValueError(f"unknown label: {shown(found)} is not among `{self.where}.labels`")
        return self.labels[found]


@dataclass(frozen=True, slots=True)
class Format:
    """A reader of open files (name, stream, reading), and the options it needs and takes."""

    read: Callable[[str, IO[bytes], Reading], Iterator[Any]]
    needs: frozenset[str] = frozenset()
    takes: frozenset[str] = frozenset()


def reading_of(
    source: FileSource | HubSource | WheelSource, form: Format, where: str, max_row_bytes: int
) -> Reading:
    """The source's options for its format.

    Raises:
        ValueError: one is missing, or is none of this format.
    """
    options = {name: getattr(source, name) for name in _OPTIONS}
    for name, value in options.items():
        if value is None and name in form.needs:
            raise ValueError(f"{where}.{name}: `format: {source.format}` needs it; add it")
        if value is not None and name not in form.needs | form.takes:
            raise ValueError(
                f"{where}.{name}: no option of `format: {source.format}`; remove it, or use "
                "another format"
            )
    return Reading(where, max_row_bytes, **options)


def columns_of(
    reading: Reading, ways: Collection[Collection[str]], optional: Collection[str] = ()
) -> Mapping[str, str]:
    """The column map, which must be one of the `ways` and may have what is `optional`.

    Raises:
        ValueError: it is none of them.
    """
    columns = reading.columns or {}
    if not any(set(way) <= set(columns) <= {*way, *optional} for way in ways):
        known = " or ".join("{" + ", ".join(f"{name}: …" for name in way) + "}" for way in ways)
        also = f", with {', '.join(optional)} if need be" if optional else ""
        raise ValueError(
            f"{reading.where}.columns: {{{', '.join(columns)}}} is no column map of this format; "
            f"expected {known}{also}"
        )
    return columns


def shown(value: object) -> str:
    """A value inside an error: short, and without personal data, whatever stands in the file."""
    if isinstance(value, str):
        return repr(excerpt(value, 60))
    text = excerpt(repr(value), 61)
    return text if len(text) <= 60 else f"{text[:60]}…"


@contextmanager
def scrubbed_errors(scrubber: Scrubber) -> Iterator[None]:
    """Take personal data out of what errors say, for they reach the terminal and the tracker.

    All structured kinds are replaced, and those of the scrubber.

    Raises:
        ValueError: another one was, without what was said at first.
    """
    try:
        yield
    except ValueError as error:
        message = scrubber.scrub(Scrubber(STRUCTURED).scrub(str(error)))
        raise ValueError(message) from None
