"""Export of what follows BirdNET's embeddings: embeddings in, calibrated probabilities of windows and recording out.

BirdNET itself is not in the file: it has a runtime and a licence of its own, and comes with the extra [birdnet].
"""

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import torch

from birdnet_nl.deploy.export_embeddings import (
    add_classifier,
    add_features_of_segments,
    describe_classifier,
    without_head,
)
from birdnet_nl.deploy.export_graph import Constants, Graph, serialize
from birdnet_nl.deploy.export_networks import add_probabilities, array
from birdnet_nl.embeddings.birdnet import BirdNet, describe_columns
from birdnet_nl.evaluation.pooling import MIN_PROBABILITY
from birdnet_nl.inference.classifier import Classifier
from birdnet_nl.inference.onnx_birdnet import GOLDEN_INPUT
from birdnet_nl.models.recording_classifier import PRIOR_SEGMENTS, RecordingClassifier

GOLDEN_WINDOWS = 2


def follows_birdnet(classifier: Classifier) -> bool:
    """Whether the classifier takes the embeddings of BirdNET alone, and has an ONNX form."""
    embeddings = classifier.embedding_model
    return (
        isinstance(embeddings, BirdNet)
        and len(embeddings.parts) == 1
        and isinstance(without_head(classifier.network), RecordingClassifier)
    )


def serialize_birdnet(classifier: Classifier, metadata: Mapping[str, Any]) -> bytes:
    """Return the content of an exported file of the kind `birdnet`."""
    constants, types, base = Constants(), len(classifier.types), without_head(classifier.network)
    dimensions = base.num_features // len(base.pooling.kinds)

    def outputs(graph: Graph, features: str) -> None:
        graph.output("logits", add_classifier(graph, features, classifier.network), ["items", types])
        graph.output("features", features, ["items", base.num_features])

    main = Graph(constants)
    vectors = main.input("embeddings", ["windows", 1 + BirdNet.dimensions])
    if not base.species_score:
        ends = main.integers(1 + BirdNet.dimensions)
        vectors = main.add("Slice", vectors, main.integers(1), ends, main.integers(1))
    vectors = main.add("Cast", main.add("Cast", vectors, to=onnx.TensorProto.FLOAT16), to=onnx.TensorProto.FLOAT)
    of_output = {
        "probabilities": (add_features_of_segments(main, vectors, base), "windows"),
        "recording": (_add_features_of_recording(main, vectors, base), 1),
    }
    for name, (features, items) in of_output.items():
        logits = add_classifier(main, features, classifier.network)
        probabilities = add_probabilities(main, logits, classifier.calibration.temperature, MIN_PROBABILITY)
        main.output(name, probabilities, [items, types])

    segments = Graph(constants)
    vectors = segments.input("vectors", ["items", dimensions])
    outputs(segments, add_features_of_segments(segments, vectors, base))
    recording = Graph(constants)
    outputs(recording, recording.input("pooled", ["items", base.num_features]))
    return serialize(main, {"segments": segments, "recording": recording}, metadata)


def _add_features_of_recording(graph: Graph, vectors: str, classifier: RecordingClassifier) -> str:
    """Add the pooling of all windows, see `models.recording_classifier`: [windows, dimensions] -> [1, num_features]."""
    axes = graph.integers(0)
    mean = graph.add("ReduceMean", vectors, axes, keepdims=1)
    squares = graph.add("ReduceSumSquare", graph.add("Sub", vectors, mean), axes, keepdims=1)
    squares = graph.add("Add", squares, graph.constant(array(classifier.pooling.typical_variance) * PRIOR_SEGMENTS))
    count = graph.add("Cast", graph.add("Shape", vectors, start=0, end=1), to=onnx.TensorProto.FLOAT)
    variance = graph.add("Div", squares, graph.add("Add", count, graph.constant(PRIOR_SEGMENTS - 1.0)))
    std = graph.add("Sqrt", graph.add("Add", variance, graph.constant(1e-12)))
    parts = [{"mean": mean, "std": std}[kind] for kind in classifier.pooling.kinds]
    return graph.add("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]


def describe_birdnet(classifier: Classifier) -> dict[str, Any]:
    """Return the part of the metadata that only files of the kind `birdnet` have."""
    return {
        "kind": "birdnet",
        "sample_rate_hz": BirdNet.sample_rate_hz,
        "embeddings": classifier.metadata["embeddings"],
        "embedding_columns": describe_columns(),
        "species_score": without_head(classifier.network).species_score,
        **describe_classifier(classifier.network),
    }


@torch.inference_mode()
def predict_golden(classifier: Classifier) -> dict[str, Any]:
    """Return embeddings as recordings of the training have, and torch's prediction for them, plain values."""
    base, network = without_head(classifier.network), classifier.network
    embeddings = torch.zeros(GOLDEN_WINDOWS, 1 + BirdNet.dimensions)
    if "mean" in base.pooling.kinds:
        columns = slice(0 if base.species_score else 1, None)
        first = base.pooling.kinds.index("mean") * len(base.pooling.typical_variance)
        of_mean = slice(first, first + len(base.pooling.typical_variance))
        spread = base.weights[of_mean] / base.scale[of_mean]  # standard deviation over recordings
        noise = np.sin(np.arange(embeddings[:, columns].numel()) * 12.9898) * 1.4142
        embeddings[:, columns] = base.shift[of_mean] + spread * torch.from_numpy(noise.astype("f")).reshape(
            GOLDEN_WINDOWS, -1
        )
    embeddings = embeddings.half()
    windows, together = torch.arange(GOLDEN_WINDOWS), torch.zeros(GOLDEN_WINDOWS, dtype=torch.int64)

    def probabilities(recordings: torch.Tensor) -> list[list[float]]:
        logits = network(embeddings, recordings).softmax(dim=1).clamp(min=MIN_PROBABILITY).log()
        return (logits / classifier.calibration.temperature).softmax(dim=1).tolist()

    return {
        "input": GOLDEN_INPUT,
        "shape": list(embeddings.shape),
        "embeddings": base64.b64encode(embeddings.numpy().astype("<f2").tobytes()).decode(),
        "probabilities": probabilities(windows),
        "recording": probabilities(together),
    }
