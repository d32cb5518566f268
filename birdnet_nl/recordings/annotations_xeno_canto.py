"""Xeno-canto annotation sets: JSON with a name, a creator, a licence and annotations by number of the recording."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from birdnet_nl.recordings.annotations import Annotation, LabelFileError, make_annotation, number, optional_number

SET_KEYS = ("set_name", "set_creator", "set_license")
KEYS = (
    "xc_nr", "annotator", "start_time", "end_time", "frequency_low", "frequency_high", "scientific_name", "sound_type",
    "sex", "life_stage", "annotation_remarks",
)  # fmt: skip
KEPT = {"sex", "life_stage"}
JSON_VALUE = "json "  # prefix in `other`: a value that is no text, as JSON


def is_xeno_canto(text: str) -> bool:
    return text.lstrip("\ufeff \r\n\t")[:1] in ("{", "[") and '"annotations"' in text


def read_xeno_canto(text: str) -> list[Annotation]:
    """Read the annotations of a set; values of the set itself are kept with each. Raises `LabelFileError`."""
    try:
        content = json.loads(text.removeprefix("\ufeff"))
    except ValueError as error:
        raise LabelFileError(f"it is no valid JSON ({error})") from None
    sets = content if isinstance(content, list) else [content]
    annotations = []
    for one in sets:
        rows = one.get("annotations") if isinstance(one, Mapping) else None
        if not isinstance(rows, list):
            raise LabelFileError("it has no list called annotations, which an annotation set has")
        of_set = _texts({name: value for name, value in one.items() if name != "annotations"})
        for index, row in enumerate(rows, start=1):
            if not isinstance(row, Mapping):
                raise LabelFileError(f"annotation {index} is no object with xc_nr, start_time and end_time")
            annotations.append(_annotation(index, row, {f"set {name}": value for name, value in of_set.items()}))
    return annotations


def _annotation(index: int, row: Mapping[str, Any], of_set: Mapping[str, str]) -> Annotation:
    def text(name: str) -> str:
        value = row.get(name)
        return "" if value is None else str(value)

    digits = re.sub(r"^XC", "", text("xc_nr").strip(), flags=re.IGNORECASE)
    if not digits.isdigit():
        raise LabelFileError(f"annotation {index}: xc_nr {text('xc_nr')!r} is no number of Xeno-canto")
    used = set(KEYS) - KEPT
    return make_annotation(
        index,
        recording=f"XC{int(digits)}",
        start_s=number(text("start_time"), "start_time", index),
        end_s=number(text("end_time"), "end_time", index),
        species=text("scientific_name"),
        type_text=text("sound_type"),
        low_hz=optional_number(text("frequency_low"), "frequency_low", index),
        high_hz=optional_number(text("frequency_high"), "frequency_high", index),
        annotator=text("annotator"),
        remarks=text("annotation_remarks"),
        other=_texts({name: value for name, value in row.items() if name not in used}) | of_set,
    )


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    """Return the values as text, with the prefix `JSON_VALUE` for those that are none."""
    return {
        name if isinstance(value, str) else JSON_VALUE + name: value if isinstance(value, str) else json.dumps(value)
        for name, value in values.items()
    }


def _values(texts: Mapping[str, str]) -> dict[str, Any]:
    return {
        name.removeprefix(JSON_VALUE): json.loads(text) if name.startswith(JSON_VALUE) else text
        for name, text in texts.items()
    }


def write_xeno_canto(annotations: Sequence[Annotation], of_set: Mapping[str, str] | None = None) -> str:
    """Write an annotation set; `recording` must be `XC123`.

    `of_set` gives `set_name`, `set_creator` and `set_license`; without them those that most of the annotations were
    read with.
    """
    kept = Counter((name, value) for one in annotations for name, value in one.other.items() if name.startswith("set "))
    common = {name.removeprefix("set "): value for (name, value), _ in reversed(kept.most_common())}
    values = dict.fromkeys(SET_KEYS, "") | _values(common) | dict(of_set or {})
    content = {**values, "annotations": [_row(annotation) for annotation in annotations]}
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _row(annotation: Annotation) -> dict[str, Any]:
    own = _values({name: value for name, value in annotation.other.items() if not name.startswith("set ")})
    row = {
        "xc_nr": int(annotation.recording.removeprefix("XC")),
        "annotator": annotation.annotator,
        "start_time": annotation.start_s,
        "end_time": annotation.end_s,
        "frequency_low": annotation.low_hz,
        "frequency_high": annotation.high_hz,
        "scientific_name": annotation.species,
        "sound_type": annotation.type_text,
        "sex": "",
        "life_stage": "",
        "annotation_remarks": annotation.remarks,
    }
    return row | own
