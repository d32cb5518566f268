"""Process-wide switches: chosen by what the machine has, and put back."""

import joblib
import pytest
import torch

from birdnet_nl.training import engine as engine_module
from birdnet_nl.training.engine import Engine, cpu_computes_bf16


@pytest.fixture
def on_cpu(monkeypatch):
    monkeypatch.setattr(engine_module.torch.cuda, "is_available", lambda: False)


@pytest.fixture
def with_bf16(monkeypatch):
    """Says whether this CPU computes bf16."""
    return lambda forward_head: monkeypatch.setattr(engine_module, "cpu_computes_bf16", lambda: forward_head)


def engine(**changes) -> Engine:
    return Engine(
        **{
            "threads": 2,
            "precision": "fp32",
            "channels_last": False,
            "lean_blocks": False,
            "keep_memory": False,
            **changes,
        }
    )


@pytest.mark.parametrize("asked", [1, 2, 4, 6, 1000])
def test_never_more_threads_than_cores_and_the_number_before_comes_back(on_cpu, asked):
    before = torch.get_num_threads()
    with engine(threads=asked).applied() as state:
        assert torch.get_num_threads() == state.threads == min(asked, joblib.cpu_count())
        assert (state.threads_asked, state.cores) == (asked, joblib.cpu_count())
    assert torch.get_num_threads() == before


def test_everything_comes_back_after_an_error(on_cpu):
    before = (torch.get_num_threads(), torch.get_float32_matmul_precision())
    with pytest.raises(ZeroDivisionError), engine(threads=1, keep_memory=True).applied():
        assert torch.get_num_threads() == 1
        _ = 1 / 0
    assert (torch.get_num_threads(), torch.get_float32_matmul_precision()) == before


@pytest.mark.parametrize(
    ("precision", "bf16", "chosen"),
    [("auto", True, "bf16"), ("auto", False, "fp32"), ("fp32", True, "fp32"), ("bf16", False, "bf16")],
)
def test_precision_follows_the_hardware_unless_told(on_cpu, with_bf16, precision, bf16, chosen):
    with_bf16(bf16)
    with engine(precision=precision).applied() as state:
        assert state.precision == chosen


def test_whether_the_cpu_computes_bf16_is_asked_of_torch_and_no_answer_means_no(monkeypatch):
    assert cpu_computes_bf16() in (True, False)
    for probe in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, probe, lambda: False, raising=False)
    assert cpu_computes_bf16() is False
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True, raising=False)
    assert cpu_computes_bf16() is True
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported")
    monkeypatch.delattr(torch.cpu, "_is_amx_tile_supported")
    assert cpu_computes_bf16() is False


def test_plain_has_no_speed_ups(compose_config, on_cpu):
    from hydra.utils import instantiate

    with instantiate(compose_config("species=koolmees", "engine=plain").engine).applied() as state:
        assert (state.precision, state.channels_last, state.lean_blocks, state.keeps_memory) == (
            "fp32",
            False,
            False,
            False,
        )


def test_the_allocator_is_set_and_put_back_in_this_order(on_cpu, monkeypatch):
    calls = []
    monkeypatch.setattr(engine_module, "_mallopt", lambda values: calls.append(values) or True)
    monkeypatch.setattr(engine_module, "_trim", lambda: calls.append("trim"))
    with engine(keep_memory=True).applied() as state:
        assert state.keeps_memory and calls == [engine_module.KEEP_MEMORY]
    assert calls[1:] == [engine_module.GLIBC_DEFAULTS, "trim"]


def test_without_glibc_nothing_is_done_and_said_so(on_cpu, monkeypatch):
    monkeypatch.setattr(engine_module, "_glibc", lambda: None)
    with engine(keep_memory=True).applied() as state:
        assert not state.keeps_memory
        assert "allocator plain" in str(state)


def test_keeping_memory_changes_no_result(on_cpu):
    torch.manual_seed(0)
    network, batch = torch.nn.Conv2d(1, 8, 3), torch.rand(4, 1, 64, 64)
    with engine(threads=1).applied():
        expected = network(batch)
    with engine(threads=1, keep_memory=True).applied():
        for _ in range(3):
            assert torch.equal(network(batch), expected)


def test_the_state_reads_as_one_line_and_goes_into_json(on_cpu):
    import json

    with engine(threads=1000).applied() as state:
        line = str(state)
    assert line.startswith(f"cpu, {joblib.cpu_count()} threads (1000 asked, {joblib.cpu_count()} cores), fp32")
    assert json.loads(json.dumps(state.to_dict()))["threads_asked"] == 1000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"threads": 0}, r"^engine\.threads=0 must be at least 1$"),
        ({"precision": "fp16"}, r"^engine\.precision=fp16 is unknown; choose one of auto, fp32, bf16$"),
    ],
)
def test_nonsense_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        engine(**change)
