"""CSV files as people have them: with commas, semicolons or tabs, headings in any case, with or without a BOM."""

import csv
from pathlib import Path

from birdnet_nl.util.errors import DataError


def read_csv(path: Path) -> list[dict[str, str]]:
    """Rows by heading in lower case, values stripped; raises `DataError` when it is no CSV file in UTF-8."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            headings = file.readline()
            separator = max(",;\t", key=headings.count)  # spreadsheets of some countries write semicolons
            file.seek(0)
            return [
                {name.strip().lower(): (value or "").strip() for name, value in row.items() if name}
                for row in csv.DictReader(file, delimiter=separator)
            ]
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); change its permissions or move it away") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is not a CSV file in UTF-8 ({error}); repair it or move it away") from error
