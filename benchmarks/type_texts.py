"""Share of type texts that are not understood, and disagreements with labels given by hand.

The file is a CSV with the columns `text` (or `type_text`) and `recordings`, and, if labelled by hand, `label` and
`types`. With labels, the share is that of the texts that name a sound, whatever the rules read in them; without labels
it is that of all texts, and the texts without a type are listed, to be read by a person.
"""

import argparse
import csv
from dataclasses import dataclass
from pathlib import Path

from birdnet_nl.recordings.labels import MULTILABEL, UNKNOWN, classify_type, types_in


@dataclass(frozen=True)
class Report:
    """Recordings whose text names a sound, those among them read as unknown, the unknown texts and disagreements."""

    recordings: int
    unknown_recordings: int
    unknown_texts: tuple[str, ...]
    disagreements: dict[str, tuple[str, str]]

    @property
    def unknown_share(self) -> float:
        return self.unknown_recordings / max(1, self.recordings)


def reading(text: str) -> str:
    """Return the type of a text; for several types with the types, such as "several (alarm, call)"."""
    label, types = classify_type(text), ", ".join(sorted(types_in(text)))
    return f"{label} ({types})" if label == MULTILABEL and types else label


def measure(path: Path) -> Report:
    """Compare the types read in the texts of a CSV file with its labels, if it has any."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = [(row.get("text") or row.get("type_text", ""), row) for row in csv.DictReader(file)]
    named = [(text, int(row["recordings"])) for text, row in rows if row.get("label") != UNKNOWN]
    unknown = [(text, count) for text, count in named if classify_type(text) == UNKNOWN]
    labels = {
        text: f"{row['label']} ({row['types']})" if row.get("types") else row["label"]
        for text, row in rows
        if row.get("label")
    }
    return Report(
        recordings=sum(count for _, count in named),
        unknown_recordings=sum(count for _, count in unknown),
        unknown_texts=tuple(text for text, _ in unknown),
        disagreements={text: (label, reading(text)) for text, label in labels.items() if reading(text) != label},
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.type_texts", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path, nargs="?", default=Path("tests/recordings/type_texts_labelled.csv"))
    report = measure(parser.parse_args().file)
    print(f"unknown: {report.unknown_recordings} of {report.recordings} recordings, {report.unknown_share:.2%}")
    for text in report.unknown_texts:
        print(f"  {text}")
    print(f"disagreements with the labels: {len(report.disagreements)}")
    for text, (label, read) in report.disagreements.items():
        print(f"  {text!r}: labelled {label}, read as {read}")


if __name__ == "__main__":
    main()
