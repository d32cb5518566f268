"""Builder of ONNX graphs: nodes are added by calls that return the name of their output."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from birdnet_nl.inference.exported_file import CHECKSUM, NO_CHECKSUM, checksum_of

OPSET, IR_VERSION = 18, 8  # of ONNX 1.13 (2022), which every maintained runtime reads


class Constants:
    """Constants that several graphs of a file share; equal ones are stored once."""

    def __init__(self) -> None:
        self.tensors: list[onnx.TensorProto] = []
        self._names: dict[tuple, str] = {}  # by content

    def name_of(self, array: np.ndarray) -> str:
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._names:
            self._names[key] = f"constant_{len(self.tensors)}"
            self.tensors.append(numpy_helper.from_array(array, self._names[key]))
        return self._names[key]


class Graph:
    """Graph under construction: `add("Relu", x)` adds a node and returns the name of its output."""

    def __init__(self, constants: Constants) -> None:
        self.constants = constants
        self.nodes: list[onnx.NodeProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []

    def add(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """Add a node; returns the name of its output, or a list of names."""
        names = [f"{kind.lower()}_{len(self.nodes)}" + (f"_{index}" if outputs > 1 else "") for index in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, **attributes))
        return names[0] if outputs == 1 else names

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        """Add a constant, as float32 unless another type is given."""
        return self.constants.name_of(np.ascontiguousarray(np.asarray(value, dtype=dtype)))

    def integers(self, *values: int) -> str:
        return self.constant(list(values), np.int64)

    def input(self, name: str, shape: Sequence[int | str], kind: int = TensorProto.FLOAT) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def output(self, name: str, value: str, shape: Sequence[int | str]) -> None:
        """Make a value an output of float32, under a name of its own."""
        self.nodes.append(helper.make_node("Identity", [value], [name]))
        self.outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))

    def model(self, name: str, metadata: Mapping[str, str] | None = None) -> onnx.ModelProto:
        """Return the model without its constants."""
        graph = helper.make_graph(self.nodes, name, self.inputs, self.outputs)
        opset = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION, producer_name="birdnet_nl")
        helper.set_model_props(model, dict(metadata or {}))
        return model


def serialize(main: Graph, others: Mapping[str, Graph], metadata: Mapping[str, Any]) -> bytes:
    """Return the content of an exported file, see `inference.exported_file`; the graphs share their constants."""
    weights = onnx.ModelProto(graph=onnx.GraphProto(initializer=main.constants.tensors)).SerializeToString()
    values = {
        **metadata,
        CHECKSUM: NO_CHECKSUM,
        "weights": {"bytes": len(weights), "sha256": hashlib.sha256(weights).hexdigest()},
        "graphs": {
            name: base64.b64encode(graph.model(name).SerializeToString()).decode() for name, graph in others.items()
        },
    }
    properties = {name: json.dumps(value, ensure_ascii=False) for name, value in values.items()}
    first_part = main.model(metadata["name"], properties).SerializeToString()
    content = first_part.replace(NO_CHECKSUM.encode(), checksum_of(first_part).encode()) + weights
    onnx.checker.check_model(onnx.load_from_string(content))
    return content
