"""Process-wide switches of a run: threads, allocator, precision, memory layout; set for one run and restored after it.

The switches change how fast the same network trains, not its definition.
"""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import joblib
import torch

PRECISIONS = ("auto", "fp32", "bf16")

# glibc: mallopt parameters and their defaults
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
GLIBC_DEFAULTS = {M_TRIM_THRESHOLD: 128 * 1024, M_MMAP_MAX: 65536}
# Keep freed memory: a training step otherwise returns its activations to the system and faults them in again each time.
# Free memory above the threshold is returned all the same.
KEEP_MEMORY = {M_MMAP_MAX: 0, M_TRIM_THRESHOLD: 512 * 1024 * 1024}


@dataclass(frozen=True)
class EngineState:
    """Switches chosen for a run; stored in `metrics.json`."""

    threads: int
    threads_asked: int
    cores: int
    precision: str
    channels_last: bool
    lean_blocks: bool
    keeps_memory: bool
    device: str

    def __str__(self) -> str:
        threads = f"{self.threads} threads"
        if self.threads < self.threads_asked:
            threads += f" ({self.threads_asked} asked, {self.cores} cores)"
        layout = "channels_last" if self.channels_last else "contiguous"
        if self.lean_blocks:
            layout += ", lean blocks"
        allocator = "keeps memory" if self.keeps_memory else "plain"
        return f"{self.device}, {threads}, {self.precision}, {layout}, allocator {allocator}"

    @property
    def lightning_precision(self) -> str:
        """Value for `precision` of `lightning.Trainer`."""
        return {"fp32": "32-true", "bf16": "bf16-mixed"}[self.precision]

    def to_dict(self) -> dict:
        return asdict(self)


class Engine:
    """Choose and apply the switches.

    Args:
        threads: torch threads; never more are used than the cores this process may use.
        precision: `auto` (bf16 where the hardware computes it, else fp32), `fp32` or `bf16`; never fp16 on a CPU.
        channels_last: keep activations with the channels innermost, in which convolutions are fastest on a CPU.
        lean_blocks: on a CPU, compute the original network block by block (`models/emsn_cnn.py`).
        keep_memory: tell glibc to keep freed memory; does nothing where there is no glibc.
    """

    def __init__(self, threads: int, precision: str, channels_last: bool, lean_blocks: bool, keep_memory: bool) -> None:
        if threads < 1:
            raise ValueError(f"engine.threads={threads} must be at least 1")
        if precision not in PRECISIONS:
            raise ValueError(f"engine.precision={precision} is unknown; choose one of {', '.join(PRECISIONS)}")
        self.threads, self.precision = threads, precision
        self.channels_last, self.lean_blocks, self.keep_memory = channels_last, lean_blocks, keep_memory

    @contextmanager
    def applied(self, accelerator: str = "auto") -> Iterator[EngineState]:
        """Apply the switches while the block runs and restore everything, so that jobs of a sweep do not mix.

        `accelerator` is that of the Lightning trainer: `auto`, `cpu`, `gpu`, `cuda` or `mps`.
        """
        threads_before = torch.get_num_threads()
        matmul_before = torch.get_float32_matmul_precision()
        fill_before = torch.utils.deterministic.fill_uninitialized_memory
        cores = joblib.cpu_count()  # respects affinity and container quotas
        device = _device(accelerator)
        on_gpu = device == "cuda"
        torch.set_num_threads(min(self.threads, cores))
        # Deterministic mode would fill every new tensor before it is written: a guard for code that reads too early.
        torch.utils.deterministic.fill_uninitialized_memory = False
        if on_gpu:
            torch.set_float32_matmul_precision("high")
        kept = self.keep_memory and device == "cpu" and _mallopt(KEEP_MEMORY)
        try:
            yield EngineState(
                threads=torch.get_num_threads(),
                threads_asked=self.threads,
                cores=cores,
                precision=self._precision(device),
                channels_last=self.channels_last,
                lean_blocks=self.lean_blocks and device == "cpu",
                keeps_memory=kept,
                device=torch.cuda.get_device_name() if on_gpu else device,
            )
        finally:
            torch.set_num_threads(threads_before)
            torch.set_float32_matmul_precision(matmul_before)
            torch.utils.deterministic.fill_uninitialized_memory = fill_before
            if kept:
                _mallopt(GLIBC_DEFAULTS)
                _trim()

    def _precision(self, device: str) -> str:
        if self.precision != "auto":
            return self.precision
        computes_bf16 = {
            "cuda": lambda: torch.cuda.is_bf16_supported(including_emulation=False),
            "mps": lambda: False,
            "cpu": cpu_computes_bf16,
        }
        return "bf16" if computes_bf16[device]() else "fp32"


def _device(accelerator: str) -> str:
    """Kind of device that the Lightning Trainer will choose: `cuda`, `mps` or `cpu`."""
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return "cuda"
    if accelerator in ("auto", "gpu", "mps") and torch.backends.mps.is_available():
        return "mps"
    return "cpu"


def cpu_computes_bf16() -> bool:
    """Whether this CPU has bf16 arithmetic (AVX-512 BF16 or AMX); emulated bf16 would be slower than fp32."""
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, probe, lambda: False)() for probe in probes)


def _glibc() -> ctypes.CDLL | None:
    if os.name != "posix":
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") and hasattr(library, "gnu_get_libc_version") else None


def _mallopt(values: dict[int, int]) -> bool:
    library = _glibc()
    return library is not None and all(library.mallopt(parameter, value) for parameter, value in values.items())


def _trim() -> None:
    """Return the memory kept during the run to the system."""
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)
