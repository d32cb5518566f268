"""Credits, licences and model cards of exported models, from the files of their runs."""

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from birdnet_nl.inference.classifier import Classifier
from birdnet_nl.util.files import FILE_NAMES
from birdnet_nl.util.run_directory import METRICS, SPLITS_FILE, read_json

METRIC_NAMES = {
    "balanced_accuracy": "balanced accuracy", "macro_f1": "macro-F1", "auroc": "AUROC", "accuracy": "accuracy",
}  # fmt: skip
CONFIRM = (
    "The recordings carry the licences below; many are BY-NC-SA, so use the model for non-commercial purposes, give "
    "credit, and share what you derive from it under the same terms."
)


@dataclass(frozen=True)
class Source:
    """Recording that a model was trained or calibrated on."""

    id: str
    recordist: str
    licence: str

    def __str__(self) -> str:
        return f"{self.id}, {self.recordist or 'recordist not stated'}, {self.licence or 'licence not stated'}"


@dataclass(frozen=True)
class Evidence:
    """Files of a run, as far as they exist.

    Attributes:
        report: content of `metrics.json`; empty without.
        sources: recordings of the training and validation splits, of a head's base run too.
    """

    report: Mapping[str, Any]
    sources: tuple[Source, ...]

    @property
    def licences(self) -> Counter[str]:
        return Counter(source.licence or "not stated" for source in self.sources)


def read_evidence(classifier: Classifier) -> Evidence:
    folder, base = classifier.run_dir, classifier.metadata.get("base")
    report = read_json(folder / METRICS) if (folder / METRICS).is_file() else {}
    files = [folder / SPLITS_FILE, *([Path(base) / SPLITS_FILE] if base else [])]
    sources = {source.id: source for file in files for source in _read_sources(file)}
    return Evidence(report, tuple(sources[id] for id in sorted(sources)))


def _read_sources(splits: Path) -> list[Source]:
    if not splits.is_file():
        return []
    with splits.open(encoding="utf-8", errors=FILE_NAMES, newline="") as file:
        rows = [row for row in csv.DictReader(file) if row.get("split") in ("train", "val")]
    return [Source(row["id"], row.get("recordist") or "", row.get("licence") or "") for row in rows]


def describe_credits(classifier: Classifier, evidence: Evidence, attribution: str = "") -> dict[str, Any]:
    """Return licence and credits for the metadata of a file; `attribution` names a file that lists the recordings."""
    embeddings = classifier.metadata.get("embeddings") or {}
    licences = ", ".join(f"{name} ({count})" for name, count in evidence.licences.most_common())
    parts = [f"recordings: {licences}" if licences else "recordings: not stated"]
    if embeddings.get("licence"):
        parts.append(f"embeddings of {embeddings['name']}: {embeddings['licence']}")
    return {
        "licence": "; ".join(parts),
        "credit": embeddings.get("credit") or "",
        "attribution": attribution or [str(source) for source in evidence.sources],
    }


def attribution_page(evidence_of: Mapping[str, Evidence], credits: Sequence[str]) -> str:
    """Write `ATTRIBUTION.md`: every recording that the models of a pack were trained on, once."""
    sources = {source.id: source for evidence in evidence_of.values() for source in evidence.sources}
    lines = ["# Attribution", "", CONFIRM, ""]
    lines += [f"- {credit}" for credit in dict.fromkeys(filter(None, credits))]
    licences = Counter(source.licence or "not stated" for source in sources.values())
    lines += ["", "| licence | recordings |", "|---|---|"]
    lines += [f"| {name} | {count} |" for name, count in licences.most_common()]
    lines += ["", "## Recordings", ""]
    lines += [f"- {sources[id]}" for id in sorted(sources)] or ["The list of recordings is missing in the version."]
    return "\n".join(lines) + "\n"


def model_card(metadata: Mapping[str, Any], evidence: Evidence, licence: str) -> str:
    """Write the model card of one exported file in Markdown: training data, metrics with intervals, limits, licence."""
    report = evidence.report
    names = ", ".join(
        f"{entry['english']} ({entry['dutch']}, *{entry['scientific']}*)" for entry in metadata["species"]
    )
    if metadata["is_pool"]:
        names = f"{len(metadata['species'])} species together"
    lines = [
        f"# {metadata['name']}",
        "",
        f"Predicts the vocalization type ({', '.join(metadata['types'])}) of {names} from {metadata['segment_s']:g} s "
        f"of sound at {metadata['sample_rate_hz']} Hz. It does not recognise species: give it recordings of these.",
        "",
    ]
    if metadata["synthetic"]:
        lines += ["**Trained on synthetic recordings: a demonstration, not a model for field data.**", ""]
    lines += ["## Training data", "", *_training_lines(report, metadata), "", "## Metrics", "", *_metric_lines(report)]
    lines += ["", "## Limits", "", *_limit_lines(report, metadata), "", "## Licence", "", licence, "", CONFIRM, ""]
    return "\n".join(lines)


def _training_lines(report: Mapping[str, Any], metadata: Mapping[str, Any]) -> list[str]:
    counts = report.get("counts", {}).get("recordings", {})
    lines = [
        f"- {split}: " + ", ".join(f"{name} {of_split.get(name, 0)}" for name in metadata["types"])
        for split, of_split in counts.items()
    ]
    lines.append(f"- parameter set {metadata['parameter_set']}, data {metadata['data_fingerprint']}")
    if metadata.get("kind") == "birdnet":
        lines.append("- a classifier of BirdNET's embeddings: predicting sound needs the extra birdnet-nl[birdnet]")
    if metadata.get("base"):
        lines.append("- a head for this species on a network for all species, which comes with the pack")
    return lines


def _metric_lines(report: Mapping[str, Any]) -> list[str]:
    scores = report.get("results", {}).get("recording")
    if not scores:
        return ["Not tested."]
    intervals = scores.get("intervals", {})
    lines = [f"Per recording, {scores['count']} test recordings; 95 % intervals over recordists.", ""]
    lines += ["| metric | value | interval |", "|---|---|---|"]
    for key, name in METRIC_NAMES.items():
        if scores.get(key) is not None:
            between = intervals.get(key)
            text = f"{between[0]:.2f} to {between[1]:.2f}" if between else ""
            lines.append(f"| {name} | {scores[key]:.2f} | {text} |")
    for name, recall in scores.get("recall", {}).items():
        if recall is not None:
            lines.append(f"| recall of {name} ({scores['counts'].get(name, 0)}) | {recall:.2f} | |")
    return lines


def _limit_lines(report: Mapping[str, Any], metadata: Mapping[str, Any]) -> list[str]:
    lines = []
    if metadata["threshold"] is None:
        lines.append(
            "- No threshold reaches the target accuracy on validation recordings: every prediction is uncertain."
        )
    else:
        aim = f", chosen for an accuracy of {metadata['target_accuracy']:.0%}" if metadata["target_accuracy"] else ""
        lines.append(f"- A recording whose highest probability is below {metadata['threshold']:.2f} is uncertain{aim}.")
    counts = report.get("results", {}).get("recording", {}).get("counts", {})
    few = [f"{name} {count}" for name, count in counts.items() if count < 10]
    if few:
        lines.append(f"- Tested on fewer than 10 recordings of: {', '.join(few)}.")
    lines.append(
        "- Trained on recordings by people who aimed at a bird; unattended recorders have more distant birds and noise."
    )
    lines.append("- Types are those of Xeno-canto's recordists; recordings of several types were not tested.")
    return lines
