"""Pack of a version: one file per species, a base network that heads share, manifest, credits and model cards."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import nn

from birdnet_nl import __version__
from birdnet_nl.deploy.export import check_exportable, describe, export_head, export_model
from birdnet_nl.deploy.export_credits import (
    Evidence,
    attribution_page,
    describe_credits,
    model_card,
    read_evidence,
)
from birdnet_nl.deploy.versions import MANIFEST, Version, sha256_of
from birdnet_nl.evaluation.calibration import Calibration
from birdnet_nl.inference.classifier import Classifier
from birdnet_nl.models.residual_head import ResidualHead
from birdnet_nl.util.errors import RunError
from birdnet_nl.util.files import write_text_atomic

ATTRIBUTION, CARDS = "ATTRIBUTION.md", "cards"


@dataclass(frozen=True)
class Pack:
    """A written pack.

    Attributes:
        bytes: of all files.
        bases: number of networks that heads share.
        left_out: reason by slug, of models without an ONNX form.
    """

    folder: Path
    models: Mapping[str, Mapping[str, Any]]
    bytes: int
    bases: int
    left_out: Mapping[str, str]


def export_pack(version: Version, target: Path, on_progress: Callable[[], None] = lambda: None) -> Pack:
    """Write all models of a version into the new folder `target`, whole or not at all.

    Raises:
        RunError: if the folder exists, cannot be written, or no model of the version can be exported.
    """
    if target.exists():
        raise RunError(f"{target} exists already; give another folder with -o, or remove it")
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        (part / CARDS).mkdir(parents=True)
        pack = _write(version, part, on_progress)
        part.rename(target)
    except OSError as error:
        raise RunError(f"{target} cannot be written ({error.strerror}); give another folder with -o") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return replace(pack, folder=target)


def _write(version: Version, folder: Path, on_progress: Callable[[], None]) -> Pack:
    entries: dict[str, dict[str, Any]] = {}
    evidence_of: dict[str, Evidence] = {}
    credits: list[str] = []
    left_out: dict[str, str] = {}
    bases: dict[str, Path] = {}
    for slug, entry in version.models.items():
        classifier = Classifier.load(version.model_path(slug))
        try:
            check_exportable(classifier)
        except RunError as error:
            left_out[slug] = str(error)
            continue
        evidence_of[slug] = evidence = read_evidence(classifier)
        described = describe_credits(classifier, evidence, attribution=ATTRIBUTION)
        credits.append(described["credit"])
        path, name = folder / f"{slug}.onnx", f"{slug} {version.name}"
        if isinstance(classifier.network, ResidualHead):
            base = _export_base(classifier, folder, bases, version.name, described)
            export_head(classifier, path, name, described, base)
        else:
            export_model(classifier, path, name, described)
        metadata = describe(classifier, name) | {"base": classifier.metadata.get("base")}
        card = f"{CARDS}/{slug}.md"
        write_text_atomic(folder / card, model_card(metadata, evidence, described["licence"]))
        content = path.read_bytes()
        entries[slug] = {**entry, "file": path.name, "bytes": len(content), "sha256": sha256_of(content), "card": card}
        on_progress()
    if not entries:
        slug, reason = next(iter(left_out.items()), ("", "the version has no models"))
        raise RunError(f"no model of version {version.name} can be exported ({reason})")
    write_text_atomic(folder / ATTRIBUTION, attribution_page(evidence_of, credits))
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    manifest = {
        "pack": 1,
        "version": version.name,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "birdnet_nl": __version__,
        "synthetic": any(entry["synthetic"] for entry in entries.values()),
        "models": entries,
        "left_out": left_out,
        "files": {path.relative_to(folder).as_posix(): sha256_of(path.read_bytes()) for path in files},
    }
    write_text_atomic(folder / MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Pack(folder, entries, size, len(set(bases.values())), left_out)


def _export_base(
    classifier: Classifier, folder: Path, bases: dict[str, Path], version: str, credits: Mapping[str, Any]
) -> Path:
    """Export the base network of a head, once for all heads with the same base."""
    base = classifier.network.base
    key = _weights_key(base, classifier)
    if key not in bases:
        calibration = Calibration(1.0, classifier.calibration.pooling, 0)
        of_base = replace(classifier, network=base, calibration=calibration, threshold=None)
        bases[key] = folder / f"base-{key}.onnx"
        export_model(of_base, bases[key], f"base {key} {version}", credits)
    return bases[key]


def _weights_key(network: nn.Module, classifier: Classifier) -> str:
    """Twelve hex digits that are equal for bases with equal weights and input."""
    content = hashlib.sha256(json.dumps([describe(classifier, "").get("mel"), type(network).__name__]).encode())
    for name, value in sorted(network.state_dict().items()):
        content.update(name.encode() + value.detach().to(torch.float32).numpy().tobytes())
    return content.hexdigest()[:12]
