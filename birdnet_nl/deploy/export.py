"""Export of a trained classifier to one ONNX file: audio samples in, calibrated probabilities out.

A classifier of BirdNET's embeddings takes embeddings instead, see `deploy.export_birdnet`.
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from birdnet_nl import __version__
from birdnet_nl.audio.activity import NOISE_DB, _bird_bands
from birdnet_nl.audio.mel import MelParams, log_mel, mel_filterbank
from birdnet_nl.deploy.export_birdnet import describe_birdnet, follows_birdnet, predict_golden, serialize_birdnet
from birdnet_nl.deploy.export_embeddings import (
    add_classifier,
    add_embedding,
    add_features_of_segments,
    add_modulation,
    add_modulation_maps,
    describe_classifier,
    has_onnx_form,
    modulation_order,
    modulation_strides,
    without_head,
)
from birdnet_nl.deploy.export_front_end import add_mel, add_own_median
from birdnet_nl.deploy.export_graph import Constants, Graph, serialize
from birdnet_nl.deploy.export_networks import (
    add_cnn,
    add_normalise,
    add_probabilities,
    add_residual_head,
    is_exportable,
)
from birdnet_nl.embeddings.base import MEL
from birdnet_nl.evaluation.pooling import MIN_PROBABILITY
from birdnet_nl.inference.classifier import Classifier
from birdnet_nl.inference.exported_file import FORMAT, GOLDEN_FORMULA, ExportedFile, golden_input
from birdnet_nl.inference.front_end import pack_bands
from birdnet_nl.inference.model import load_exported
from birdnet_nl.species.stored import stored_species
from birdnet_nl.util.errors import RunError
from birdnet_nl.util.files import atomic_path

MAX_DIFFERENCE = 1e-4  # of a probability between torch and the exported file


def export_model(classifier: Classifier, target: Path, name: str, credits: Mapping[str, Any]) -> None:
    """Write a classifier to the file `target`, and compare its prediction with torch.

    Args:
        name: for people, such as `koolmees 2026Q4`.
        credits: `licence`, `credit` and `attribution` of the model and of the recordings it was trained on.

    Raises:
        RunError: for a network that cannot be exported, and where the exported file predicts something else.
    """
    check_exportable(classifier)
    metadata = describe(classifier, name) | dict(credits)
    serialize_network = _serialize_cnn if classifier.embedding_model is None else _serialize_embeddings
    if follows_birdnet(classifier):
        serialize_network = serialize_birdnet
    write_checked(target, lambda golden: serialize_network(classifier, metadata | {"golden": golden}), classifier)


def export_head(classifier: Classifier, target: Path, name: str, credits: Mapping[str, Any], base: Path) -> None:
    """Write the head of one species to `target`, for the exported base in the same folder; raises `RunError`."""
    described = {"base": {"file": base.name, "fingerprint": ExportedFile.read(base).fingerprint}}
    metadata = describe(classifier, name) | dict(credits) | described
    write_checked(target, lambda golden: _serialize_head(classifier, metadata | {"golden": golden}), classifier)


def _serialize_head(classifier: Classifier, metadata: Mapping[str, Any]) -> bytes:
    graph, types = Graph(Constants()), len(classifier.types)
    features = graph.input("features", ["batch", classifier.network.num_features])
    base_logits = graph.input("base_logits", ["batch", types])
    graph.output("logits", add_residual_head(graph, features, base_logits, classifier.network), ["batch", types])
    return serialize(graph, {}, metadata)


def check_exportable(classifier: Classifier) -> None:
    """Raise `RunError` for a network, or an embedding model, without an ONNX form."""
    embeddings, network = classifier.embedding_model, classifier.network
    if embeddings is None and not is_exportable(network):
        name = type(network).__name__
        raise RunError(f"{classifier.checkpoint} is a {name}, which has no ONNX form; predict with the run itself")
    if embeddings is not None and not has_onnx_form(embeddings, network) and not follows_birdnet(classifier):
        raise RunError(
            f"{classifier.checkpoint} needs embeddings of {embeddings.name}, which has no ONNX form; predict with the "
            "run itself, or train with trainer=birdnet, distilled, frozen or turbo"
        )


def write_checked(target: Path, make_content, classifier: Classifier) -> None:
    """Write content with the prediction for the golden input, which must be that of torch."""
    if follows_birdnet(classifier):
        golden = predict_golden(classifier)
    else:
        sound = golden_input(_sample_rate_hz(classifier), _segment_samples(classifier))
        golden = {"input": GOLDEN_FORMULA, "probabilities": predict_clip(classifier, sound).tolist()}
    content = make_content(golden)
    with atomic_path(target) as beside:
        beside.write_bytes(content)
        try:
            load_exported(beside, tolerance=MAX_DIFFERENCE)
        except RunError as error:
            raise RunError(f"the export of {classifier.checkpoint} failed its check against torch: {error}") from None


@torch.inference_mode()
def predict_clip(classifier: Classifier, samples: np.ndarray) -> np.ndarray:
    """Calibrated probabilities of a clip as long as a segment, in single precision: [samples] -> [1, types]."""
    network, embeddings = classifier.network, classifier.embedding_model
    if embeddings is None:
        mel_db = torch.from_numpy(log_mel(samples, classifier.mel))[None].half()
        logits = network(classifier.normalise(mel_db)[:, None])
    else:
        mel_db = log_mel(samples, MEL)
        first, *others = [part.load_for_mels()(mel_db, 0) for part in embeddings.parts]
        vector = np.concatenate([first, *(other[1:] for other in others)]).astype(np.float16)
        logits = network(torch.from_numpy(vector)[None], torch.zeros(1, dtype=torch.int64))
    softened = logits.softmax(dim=1).clamp(min=MIN_PROBABILITY).log() / classifier.calibration.temperature
    return softened.softmax(dim=1).numpy()


def _serialize_cnn(classifier: Classifier, metadata: Mapping[str, Any]) -> bytes:
    constants, params = Constants(), classifier.mel
    frames, types = params.segment_frames(metadata["segment_s"]), len(classifier.types)
    main = Graph(constants)
    samples = main.input("samples", ["batch", _segment_samples(classifier)])
    mel_db = add_mel(main, samples, _segment_samples(classifier), params)
    if params.normalisation == "band_median":
        mel_db = add_own_median(main, mel_db, frames)
    _, logits = add_cnn(main, _add_network_input(main, mel_db, params), classifier.network)
    temperature = classifier.calibration.temperature
    main.output("probabilities", add_probabilities(main, logits, temperature, MIN_PROBABILITY), ["batch", types])
    network = Graph(constants)
    mel = network.input("mel", ["windows", params.n_mels, frames], onnx.TensorProto.FLOAT16)
    features, logits = add_cnn(network, _add_network_input(network, mel, params), classifier.network)
    network.output("logits", logits, ["windows", types])
    network.output("features", features, ["windows", classifier.network.num_features])
    return serialize(main, {"network": network}, metadata)


def _serialize_embeddings(classifier: Classifier, metadata: Mapping[str, Any]) -> bytes:
    constants, frames, types = Constants(), MEL.segment_frames(metadata["segment_s"]), len(classifier.types)
    embeddings, network = classifier.embedding_model, classifier.network
    base = without_head(network)
    dimensions = base.pooling.num_features // len(base.pooling.kinds)

    def normalised(graph: Graph, mel_db: str) -> str:
        return graph.add("Unsqueeze", add_normalise(graph, mel_db, MEL), graph.integers(1))

    def outputs(graph: Graph, features: str) -> None:
        graph.output("logits", add_classifier(graph, features, network), ["items", types])
        graph.output("features", features, ["items", base.num_features])

    main = Graph(constants)
    samples = main.input("samples", ["batch", _segment_samples(classifier)])
    mel = normalised(main, add_own_median(main, add_mel(main, samples, _segment_samples(classifier), MEL), frames))
    vectors = main.add("Concat", add_embedding(main, mel, embeddings), add_modulation(main, mel, frames), axis=1)
    features = add_features_of_segments(main, _rounded(main, vectors), base)
    logits, temperature = add_classifier(main, features, network), classifier.calibration.temperature
    main.output("probabilities", add_probabilities(main, logits, temperature, MIN_PROBABILITY), ["batch", types])

    embed = Graph(constants)
    mel = embed.input("mel", ["windows", MEL.n_mels, frames])
    embed.output(
        "vectors", add_embedding(embed, normalised(embed, mel), embeddings), ["windows", embeddings.dimensions]
    )
    modulation = Graph(constants)
    mel = modulation.input("mel", [1, 1, MEL.n_mels, "frames"])
    for index, maps in enumerate(add_modulation_maps(modulation, mel)):
        modulation.output(f"maps_{index}", maps, [1, "maps", "groups", f"steps_{index}"])
    segments = Graph(constants)
    vectors = segments.input("vectors", ["items", dimensions])
    outputs(segments, add_features_of_segments(segments, vectors, base))
    recording = Graph(constants)
    outputs(recording, recording.input("pooled", ["items", base.num_features]))
    others = {"embed": embed, "modulation": modulation, "segments": segments, "recording": recording}
    return serialize(main, others, metadata)


def _rounded(graph: Graph, values: str) -> str:
    """Round to half precision, as cached mels and embeddings are."""
    return graph.add("Cast", graph.add("Cast", values, to=onnx.TensorProto.FLOAT16), to=onnx.TensorProto.FLOAT)


def _add_network_input(graph: Graph, mel_db: str, params: MelParams) -> str:
    """Round dB as cached mels are, and normalise: [batch, mels, frames] -> [batch, 1, mels, frames]."""
    return graph.add("Unsqueeze", add_normalise(graph, _rounded(graph, mel_db), params), graph.integers(1))


def describe(classifier: Classifier, name: str) -> dict[str, Any]:
    """Return the metadata of an exported file, plain values."""
    metadata, calibration = classifier.metadata, classifier.calibration
    embeds = classifier.embedding_model is not None
    cut = classifier.mel
    common = {
        "birdnet_nl": __version__,
        "format": FORMAT,
        "name": name,
        "types": classifier.types,
        "species": [asdict(species) for species in stored_species(metadata)],
        "is_pool": metadata.get("pool") is not None,
        "parameter_set": metadata.get("parameter_set"),
        "trained_with": metadata["version"],
        "data_fingerprint": metadata.get("data_fingerprint"),
        "synthetic": bool(metadata["synthetic"]),
        "segment_s": metadata["segment_s"],
        "segment_hop_s": metadata["segment_hop_s"],
        "temperature": calibration.temperature,
        "temperatures_of_species": dict(calibration.of_species),
        "pooling": calibration.pooling,
        "threshold": classifier.threshold,
        "target_accuracy": classifier.target_accuracy,
        "cut": {"sample_rate_hz": cut.sample_rate_hz, "hop_samples": cut.hop_samples, "by_sample": embeds},
    }
    if follows_birdnet(classifier):
        return common | describe_birdnet(classifier)
    params = MEL if embeds else classifier.mel
    bands = mel_filterbank(params)
    return common | {
        "kind": "embeddings" if embeds else "mels",
        "sample_rate_hz": params.sample_rate_hz,
        "mel": asdict(params),
        "bands": pack_bands(bands.bins, bands.weights.toarray()),
        "segment_frames": params.segment_frames(metadata["segment_s"]),
        "padding_db": params.padding_db,
        **(_describe_embeddings(classifier) if embeds else {"activity": _describe_activity(params)}),
    }


def _describe_activity(params: MelParams) -> dict[str, Any]:
    return {"bands": [int(inside) for inside in _bird_bands(params)], "noise_db": NOISE_DB}


def _describe_embeddings(classifier: Classifier) -> dict[str, Any]:
    return {
        "embeddings": classifier.metadata["embeddings"],
        "modulation": {"strides": modulation_strides(), "order": modulation_order()},
        **describe_classifier(classifier.network),
    }


def _sample_rate_hz(classifier: Classifier) -> int:
    """Of the input of the exported file."""
    return (classifier.mel if classifier.embedding_model is None else MEL).sample_rate_hz


def _segment_samples(classifier: Classifier) -> int:
    return round(classifier.metadata["segment_s"] * _sample_rate_hz(classifier))
