"""A training whose numbers are no longer finite ends with one sentence, and its last finite checkpoint stays."""

from functools import partial

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn
from torch.utils.data import TensorDataset

from birdnet_nl.models.compact_cnn import CompactCnn
from birdnet_nl.models.emsn_cnn import EmsnCnn
from birdnet_nl.training import finite
from birdnet_nl.training.averaging import RunningWeightAverage, train_one_cycle
from birdnet_nl.training.checkpoint import AtomicCheckpointIO, DivergedError
from birdnet_nl.training.finite import FiniteSteps
from birdnet_nl.training.module import SegmentClassifier

EMSN = partial(EmsnCnn, channels=[8, 16], hidden=16, channel_dropout=0.1, hidden_dropout=0.2)
COMPACT = partial(CompactCnn, channels=[8, 16], dropout=0.1)


class DivergingLoss(nn.CrossEntropyLoss):
    """Cross-entropy that is NaN from a step on, or whose gradient is infinite."""

    def __init__(self, weight=None, steps: int = 8, gradient: bool = False) -> None:
        super().__init__(weight=weight)
        self.steps, self.gradient = steps, gradient

    def forward(self, logits, targets):
        self.steps -= 1
        if self.steps >= 0:
            return super().forward(logits, targets)
        loss = super().forward(logits, targets)
        return loss + (logits - logits).abs().sum().sqrt() if self.gradient else loss * torch.nan  # of √0: 1/0


def make_module(network=EMSN, lr=1e-3, loss=nn.CrossEntropyLoss) -> SegmentClassifier:
    torch.manual_seed(0)
    return SegmentClassifier(network, loss=loss, optimizer=partial(torch.optim.Adam, lr=lr))


@pytest.fixture
def fit(small_mel, make_trainer, pattern_data, tmp_path):
    """Fit and return the checkpoint of the last epoch."""

    def fitted(module, *callbacks, **data):
        checkpoints = ModelCheckpoint(tmp_path, filename="last", save_on_train_epoch_end=True)
        options = {"enable_checkpointing": True, "plugins": [AtomicCheckpointIO()]}
        trainer = make_trainer(4, callbacks=[*callbacks, checkpoints], **options)
        trainer.fit(module, datamodule=pattern_data(small_mel, **data))

    return fitted


@pytest.mark.parametrize("network", [EMSN, COMPACT])
@pytest.mark.parametrize("lr", [1e30, 1e38])
def test_a_learning_rate_that_diverges_is_named(fit, network, lr, tmp_path):
    with pytest.raises(DivergedError) as caught:
        fit(make_module(network, lr=lr))
    assert str(caught.value).endswith(f"; start a new run with a smaller optimizer.lr (now {lr:g})")
    assert not list(tmp_path.glob("*.ckpt"))


@pytest.mark.parametrize("gradient", [False, True], ids=["loss", "gradient"])
@pytest.mark.parametrize("averaged", [False, True])
def test_the_last_finite_checkpoint_is_kept(fit, tmp_path, averaged, gradient):
    """The second epoch diverges: of six batches each, after eight."""
    callbacks = [RunningWeightAverage(0.9, 0.99)] if averaged else []
    module = make_module(loss=partial(DivergingLoss, gradient=gradient))
    with pytest.raises(DivergedError, match="the loss or a gradient in epoch 2 is no longer a finite number"):
        fit(module, *callbacks)
    content = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert content["epoch"] == 0 and len(content["birdnet_nl"]["history"]) == 1
    assert all(value.isfinite().all() for value in content["state_dict"].values())
    assert all(parameter.isfinite().all() for parameter in module.network.parameters())  # found before the step


def test_validation_that_is_not_finite_ends_the_training_before_it_is_saved(fit, patterns, tmp_path):
    mel_db, types, recordings = patterns(32, seed=2).tensors
    mel_db = mel_db.clone()
    mel_db[5, 3, 3] = torch.nan
    with pytest.raises(DivergedError, match="the prediction for validation recordings in epoch 1"):
        fit(make_module(), val=TensorDataset(mel_db, types, recordings))
    assert not list(tmp_path.glob("*.ckpt"))


def test_a_metric_that_is_not_finite_is_named(fit):
    class OtherLoss(SegmentClassifier):
        def build_losses(self, data):
            super().build_losses(data)
            del self.val_criterion
            self.val_criterion = lambda logits, types: logits.sum() * torch.nan

    module = OtherLoss(EMSN, optimizer=partial(torch.optim.Adam, lr=1e-3))
    with pytest.raises(DivergedError, match="val/loss in epoch 1 is no longer a finite number"):
        fit(module)


def test_steps_are_checked_together_where_each_check_waits_for_the_device(monkeypatch):
    """As on a GPU: nothing is read before `STEPS_BETWEEN` steps, or before the validation."""
    monkeypatch.setattr(finite, "STEPS_BETWEEN", 3)
    steps, loss = FiniteSteps(), torch.tensor(torch.nan)
    monkeypatch.setattr(finite, "waits_for_device", lambda tensor: True)
    steps.add(loss, [])
    steps.add(torch.tensor(1.0), [])
    with pytest.raises(ValueError, match="not finite"):
        steps.add(torch.tensor(1.0), [])
    steps.add(loss, [])
    with pytest.raises(ValueError, match="not finite"):
        steps.check()
    steps.check()


def test_a_training_of_fixed_length_that_diverges_returns_no_network():
    network = nn.Linear(2, 1)

    def losses(factor):
        for step in range(5):
            yield (network(torch.ones(1, 2)) * (factor if step == 3 else 1.0)).sum()

    assert train_one_cycle(network, losses(1.0), 5, 1e-2, 0.3, lambda loss: None) is not None
    seen = []
    with pytest.raises(DivergedError, match="the loss of step 4 is no longer a finite number"):
        train_one_cycle(network, losses(torch.nan), 5, 1e-2, 0.3, seen.append)
    assert len(seen) == 3
    with torch.no_grad():
        network.weight.fill_(1e5)  # too large for half precision, in which the weights are kept
    with pytest.raises(DivergedError, match=r"a weight \(weight\) is no longer"):
        train_one_cycle(network, losses(1.0), 5, 1e-2, 0.3, lambda loss: None)
