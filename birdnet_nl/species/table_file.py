"""Reading of a species table: the 232 of the Netherlands, Europe, or a file of the user's own."""

import csv
import difflib
import gc
import re
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.resources import files
from pathlib import Path

from birdnet_nl.util.errors import SelectionError
from birdnet_nl.util.files import did_you_mean

NETHERLANDS, EUROPE = "netherlands", "europe"
BUILT_IN = {NETHERLANDS: "species.csv", EUROPE: "europe.csv"}
NOT_NAMES = ("slug", "priority")  # every other column holds names
LOWEST_PRIORITY = 3

_LETTERS = {code: (chr(code).lower() if chr(code).isalnum() else " ") for code in range(128)}
_LETTERS[ord("'")] = ""
_LETTERS_AND_LINES = _LETTERS | {ord("\n"): "\n"}
_BLANKS = re.compile(r"  | \n|\n |\A | \Z")  # to be removed, unless a name has them nowhere


@dataclass(frozen=True)
class Species:
    """A species of the table in use.

    Attributes:
        slug: the key that users type, e.g. `zwarte_mees`; lower case, no accents.
        birdnet: the scientific name in BirdNET V2.4 where it differs from `scientific`, else empty.
        priority: 1 (to be trained first) to 3; 0 outside the table.
    """

    slug: str
    dutch: str
    english: str
    scientific: str
    birdnet: str
    priority: int

    @property
    def names(self) -> tuple[str, ...]:
        """All names that a user or a folder may use for the species."""
        return tuple(name for name in (self.slug, self.dutch, self.english, self.scientific, self.birdnet) if name)


def normalise_name(name: str) -> str:
    """Lower case, without accents, words joined by `_`: `Zwarte  Mees` and `zwarte-mees` become `zwarte_mees`."""
    if not name.isascii():
        name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return "_".join(name.translate(_LETTERS).split())


def normalise_names(names: Sequence[str]) -> list[str]:
    """Return what `normalise_name` does for each name, five times as fast for thousands."""
    text = "\n".join(name.replace("\n", " ") for name in names)
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    text = text.translate(_LETTERS_AND_LINES)
    if _BLANKS.search(text) is None:  # one blank between words and none around names, as nearly always
        return text.replace(" ", "_").split("\n")
    return ["_".join(line.split()) for line in text.split("\n")]


class SpeciesTable:
    """Species in the order of a table, found by any of their names.

    Rows become `Species`, and names an index, when they are needed: reading 12,000 rows takes milliseconds.

    Attributes:
        name: `netherlands`, `europe` or the path of a file.
        slugs: in the order of the table.
    """

    def __init__(self, name: str, columns: list[str], rows: list[list[str]]) -> None:
        self.name, self._columns, self._rows = name, columns, rows
        self._index = {column: position for position, column in enumerate(columns)}
        self._species: dict[int, Species] = {}
        self._outside: dict[str, Species] = {}
        slugs = normalise_names(
            [slug or name for slug, name in zip(self._column("slug"), self._column("scientific"), strict=True)]
        )
        self._row_of = dict(zip(slugs, range(len(slugs)), strict=True))
        if len(self._row_of) < len(slugs):
            first_of: dict[str, int] = {}
            for number, slug in enumerate(slugs):
                if slug in first_of:
                    raise SelectionError(
                        f"{name}, row {number + 2}: {slug} is already in row {first_of[slug] + 2}; "
                        "give every species a slug of its own"
                    )
                first_of[slug] = number

    def _value(self, row: list[str], column: str) -> str:
        position = self._index.get(column)
        return row[position].strip() if position is not None and position < len(row) else ""

    def _column(self, column: str) -> list[str]:
        """Values of a column, empty where a row ends before it."""
        position = self._index.get(column)
        if position is None:
            return [""] * len(self._rows)
        return [row[position] if position < len(row) else "" for row in self._rows]

    def _slug(self, row: list[str]) -> str:
        return normalise_name(self._value(row, "slug") or self._value(row, "scientific"))

    @property
    def slugs(self) -> list[str]:
        return list(self._row_of)

    def __contains__(self, slug: object) -> bool:
        return slug in self._row_of

    def __len__(self) -> int:
        return len(self._rows)

    @cached_property
    def species(self) -> tuple[Species, ...]:
        """All species in the order of the table."""
        return tuple(self._species_of_row(row) for row in range(len(self._rows)))

    def _species_of_row(self, number: int) -> Species:
        if number not in self._species:
            self._species[number] = self._make_species(self._rows[number])
        return self._species[number]

    def _make_species(self, row: list[str]) -> Species:
        scientific = self._value(row, "scientific")
        english = self._value(row, "english") or scientific
        return Species(
            self._slug(row),
            self._value(row, "dutch") or english,
            english,
            scientific,
            self._value(row, "birdnet"),
            int(self._value(row, "priority") or LOWEST_PRIORITY),
        )

    def find(self, name: str) -> Species | None:
        """Look up a species by its slug or any of its names, in any case."""
        key = normalise_name(name)
        number = self._row_of.get(key)
        if number is None:
            number = self.row_of_name.get(key)
        return self._outside.get(key) if number is None else self._species_of_row(number)

    def add(self, species: Species) -> Species:
        """Let `find` know a species outside the table: selected by its scientific name, or of a model."""
        for name in species.names:
            self._outside[normalise_name(name)] = species
        return species

    @cached_property
    def row_of_name(self) -> dict[str, int]:
        """Row of every name, as `normalise_name` writes it."""
        of_name = self._synonyms()
        for column in self._index:
            if column not in NOT_NAMES:
                names = normalise_names(self._column(column))
                of_name |= {name: number for number, name in enumerate(names) if name}
        return of_name | self._row_of

    def _synonyms(self) -> dict[str, int]:
        """Names of the built-in tables and of `synonyms.csv` for species that have the same scientific name here."""
        scientific = normalise_names(self._column("scientific"))
        here = {name: number for number, name in enumerate(scientific)}
        folder, of_name, number_of_slug = files("birdnet_nl.species"), {}, {}
        for file in BUILT_IN.values():
            for row in _dicts(folder / file):
                if (number := here.get(normalise_name(row["scientific"]))) is not None:
                    number_of_slug[row["slug"]] = number
                    names = (row[column] for column in ("slug", "dutch", "english", "birdnet"))
                    of_name |= {normalise_name(name): number for name in names if name}
        for row in _dicts(folder / "synonyms.csv"):
            if row["slug"] in number_of_slug:
                of_name[normalise_name(row["name"])] = number_of_slug[row["slug"]]
        return of_name


def _dicts(file) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened))


@lru_cache(maxsize=len(BUILT_IN))
def built_in_table(name: str) -> SpeciesTable:
    """Return a built-in table, whichever is in use."""
    return read_table(name)


def read_table(choice: str) -> SpeciesTable:
    """Read `netherlands`, `europe`, or a file with the columns slug, scientific, priority and names in any language.

    Only `scientific` is needed: a slug that is missing is made of it, and a priority that is missing is 3. The columns
    `dutch` and `english` are shown; `birdnet` is BirdNET's name; every other column holds further names.

    Raises:
        SelectionError: if the file cannot be read, or a row cannot be used; with the row.
    """
    if choice.casefold() in BUILT_IN:
        choice = choice.casefold()
        with (files("birdnet_nl.species") / BUILT_IN[choice]).open(encoding="utf-8", newline="") as file:
            columns, *rows = csv.reader(file)
        return SpeciesTable(choice, columns, rows)
    path = Path(choice).expanduser()
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        close = difflib.get_close_matches(path.name.casefold(), BUILT_IN, n=1, cutoff=0.7)
        similar = f" (did you mean {close[0]}?)" if close else did_you_mean(path)
        raise SelectionError(
            f"species.table={choice} cannot be read ({reason}){similar}; give netherlands, europe or a CSV "
            "file with the columns slug,scientific,dutch,english,priority"
        ) from None
    first_line = text.partition("\n")[0]
    separator = max(",;\t", key=first_line.count)
    with _without_garbage_collection():
        lines = [row for row in csv.reader(text.splitlines(), delimiter=separator) if any(row)]
    columns = [column.strip().casefold() for column in lines[0]] if lines else []
    columns = ["scientific" if column in ("scientific_name", "scientific name") else column for column in columns]
    if "scientific" not in columns:
        raise SelectionError(
            f"species.table={choice} has no column scientific (columns: {', '.join(columns) or 'none'}); name it in "
            "the first line"
        )
    return SpeciesTable(str(path), columns, _checked_rows(choice, columns, lines[1:]))


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Pause the search for cycles, which thousands of new lists would start and which there are none of."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _checked_rows(choice: str, columns: list[str], rows: list[list[str]]) -> list[list[str]]:
    """Return the rows that are not blank; raises `SelectionError` where one cannot be used."""
    scientific = columns.index("scientific")
    priority = columns.index("priority") if "priority" in columns else None
    if rows and _is_plain(rows, scientific, priority):
        return rows
    rows = [row for row in rows if any(map(str.strip, row))]
    if not rows:
        raise SelectionError(f"species.table={choice} holds no species; write one in each row")
    for number, row in enumerate(rows, start=2):
        if len(row) <= scientific or not row[scientific].strip():
            raise SelectionError(
                f"species.table={choice}, row {number}: the scientific name is missing; write it there"
            )
        value = row[priority].strip() if priority is not None and priority < len(row) else ""
        if value and value not in ("1", "2", "3"):
            raise SelectionError(
                f"species.table={choice}, row {number}: priority {value} is not 1, 2 or 3; correct it or leave it empty"
            )
    return rows


def _is_plain(rows: list[list[str]], scientific: int, priority: int | None) -> bool:
    """Return whether every row has a scientific name and a priority that can be used; fast for thousands of rows."""
    try:
        names = [row[scientific] for row in rows]
        priorities = set() if priority is None else {row[priority] for row in rows}
    except IndexError:
        return False
    return all(map(str.strip, names)) and priorities <= {"", "1", "2", "3"}
