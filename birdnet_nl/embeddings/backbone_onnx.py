"""`embeddings=onnx`: a network in an ONNX file, run by ONNX Runtime."""

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np

from birdnet_nl.embeddings.backbone import Backbone
from birdnet_nl.embeddings.backbone_tflite import find_output
from birdnet_nl.util.errors import SetupError, require_extra


class OnnxBackbone(Backbone):
    """Network in an ONNX file with one input of samples, [samples], [batch, samples] or [batch, 1, samples].

    A layer that is no output of the graph becomes one when the network is loaded, which needs the extra [train].
    """

    def check_runtime(self) -> None:
        require_extra("onnxruntime", "train")

    def load_outputs(self, names: Sequence[str]) -> Callable[[np.ndarray], list[np.ndarray]]:
        session = self._session(names)
        window = session.get_inputs()[0]
        shape = self._shape(window.shape)

        def run(clip: np.ndarray) -> list[np.ndarray]:
            results = session.run(list(names), {window.name: clip.reshape(shape)})
            return [result[0] if result.ndim > 1 else result for result in results]

        return run

    def _shape(self, declared: Sequence[Any]) -> list[int]:
        """Shape of the input for one window: the last dimension holds the samples."""
        *before, samples = declared
        if isinstance(samples, int) and samples not in (self.window_samples, -1):
            raise SetupError(
                f"{self.file.name} takes windows of {samples} samples, and {self.window_s} s at {self.sample_rate_hz} "
                f"Hz are {self.window_samples}; correct embeddings.window_s or sample_rate_hz"
            )
        if any(isinstance(size, int) and size not in (1, -1) for size in before) or len(before) > 2:
            raise SetupError(f"{self.file.name} takes {list(declared)}, not the samples of one window")
        return [1] * len(before) + [self.window_samples]

    def _session(self, names: Sequence[str]) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            session = onnxruntime.InferenceSession(str(self.file), options, providers=["CPUExecutionProvider"])
            missing = set(names) - {output.name for output in session.get_outputs()}
            if missing:
                graph = self._with_outputs(sorted(missing), [output.name for output in session.get_outputs()])
                session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except SetupError:
            raise
        except Exception as error:  # ONNX Runtime has an exception class of its own for each status
            raise SetupError(f"{self.file} is not an ONNX network ({str(error).splitlines()[0][:150]})") from None
        return session

    def _with_outputs(self, missing: Sequence[str], outputs: Sequence[str]) -> bytes:
        """Return the network with further layers as outputs."""
        if find_spec("onnx") is None:
            raise SetupError(
                f"{self.file.name} has no output {missing[0]} (its outputs: {', '.join(outputs)}); for a layer install "
                'onnx: pip install "birdnet-nl[train]"'
            )
        import onnx

        network = onnx.load(str(self.file))
        layers = [name for node in network.graph.node for name in node.output]
        for name in missing:
            find_output(name, [*outputs, *layers], self.file)
            network.graph.output.append(onnx.ValueInfoProto(name=name))
        return network.SerializeToString()
