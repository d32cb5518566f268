"""Audacity label files: start, end and label, tab-separated without headings; a second line `\\` gives frequencies."""

from collections.abc import Sequence

from birdnet_nl.recordings.annotations import (
    Annotation,
    LabelFileError,
    format_number,
    make_annotation,
    number,
    optional_number,
)

CONFIDENCE = "confidence"  # BirdNET-Analyzer's fourth column


def is_audacity(text: str) -> bool:
    first = text.lstrip("\ufeff\r\n").partition("\n")[0].split("\t")
    try:
        return len(first) >= 2 and all(float(value.replace(",", ".")) >= 0 for value in first[:2])
    except ValueError:
        return False


def read_audacity(text: str) -> list[Annotation]:
    """Read a label file; further values of a line are kept. Raises `LabelFileError`."""
    annotations: list[Annotation] = []
    lines = text.removeprefix("\ufeff").splitlines()
    for line, content in enumerate(lines, start=1):
        values = content.split("\t")
        if not content.strip() or values[0] == "\\":
            continue
        if len(values) < 2:
            raise LabelFileError(f"line {line}: start and end, separated by a tab, are expected and not {content!r}")
        following = lines[line].split("\t") if line < len(lines) else []
        low, high = following[1:3] if following[:1] == ["\\"] and len(following) >= 3 else ("", "")
        label, confidence, *more = [*values[2:], "", ""]
        other = {CONFIDENCE: confidence} if confidence else {}
        other |= {f"value {index}": value for index, value in enumerate(more[:-1], start=5) if value}
        annotations.append(
            make_annotation(
                line,
                recording="",
                start_s=number(values[0], "start", line),
                end_s=number(values[1], "end", line),
                type_text=label,
                low_hz=_frequency(low, line + 1),
                high_hz=_frequency(high, line + 1),
                other=other,
            )
        )
    return annotations


def _frequency(text: str, line: int) -> float | None:
    value = optional_number(text, "frequency", line)
    return None if value is not None and value < 0 else value  # Audacity writes -1 for an open end


def write_audacity(annotations: Sequence[Annotation]) -> str:
    """Write a label file of one recording; frequencies on a line of their own, as Audacity does."""
    lines = []
    for annotation in annotations:
        label = annotation.type_text or annotation.species
        values = [format_number(annotation.start_s), format_number(annotation.end_s), " ".join(label.split("\t"))]
        further = {name: value for name, value in annotation.other.items() if name.startswith("value ")}
        if CONFIDENCE in annotation.other or further:
            values.append(annotation.other.get(CONFIDENCE, ""))
        last = max((int(name.split()[1]) for name in further), default=4)
        values += [further.get(f"value {index}", "") for index in range(5, last + 1)]
        lines.append("\t".join(values))
        if annotation.low_hz is not None or annotation.high_hz is not None:
            frequencies = [-1 if hz is None else hz for hz in (annotation.low_hz, annotation.high_hz)]
            lines.append("\t".join(["\\", *map(format_number, frequencies)]))
    return "".join(f"{line}\n" for line in lines)
