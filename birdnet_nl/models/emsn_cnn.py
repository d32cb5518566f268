"""Network of the original system (emsn-vocalization), unchanged, and a way to compute its blocks in less memory."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

CHUNK = 8  # segments computed at once: at full resolution 18 MB in bf16, about a last-level cache


class EmsnCnn(nn.Module):
    """Mels scaled to 0…1, [batch, 1, mels, frames], to logits [batch, types]; 422 K parameters for three types.

    Args:
        types: number of vocalization types, in the order of the checkpoint's list.
        channels: of the convolution blocks; all but the last block halve mels and frames and drop whole channels.
        hidden: width of the linear layer before the logits.

    With `lean` set, a CPU computes each block with `lean_block`: the same numbers in less memory.
    """

    def __init__(
        self, types: int, channels: Sequence[int], hidden: int, channel_dropout: float, hidden_dropout: float
    ) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        for index, (inputs, outputs) in enumerate(zip([1, *channels], channels, strict=False)):
            blocks += [nn.Conv2d(inputs, outputs, kernel_size=3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()]
            if index < len(channels) - 1:
                blocks += [nn.MaxPool2d(2), nn.Dropout2d(channel_dropout)]
        self.features = nn.Sequential(*blocks)
        self.head = nn.Sequential(
            nn.Linear(channels[-1], hidden), nn.ReLU(), nn.Dropout(hidden_dropout), nn.Linear(hidden, types)
        )
        self.lean = False

    @property
    def num_features(self) -> int:
        return self.head[0].in_features

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        return self.forward_head(self.forward_features(mel))

    def forward_features(self, mel: torch.Tensor) -> torch.Tensor:
        """Compute the global average of the last block, [batch, num_features]."""
        lean = self.lean and mel.device.type == "cpu"
        features = self._lean_features(mel) if lean else self.features(mel)
        return features.mean(dim=(2, 3))  # [batch, channels, mels/8, frames/8] -> [batch, channels]

    def forward_head(self, features: torch.Tensor) -> torch.Tensor:
        return self.head(features)  # -> [batch, types]

    def _lean_features(self, mel: torch.Tensor) -> torch.Tensor:
        features = mel
        layers = list(self.features)
        for index, layer in enumerate(layers):
            if isinstance(layer, nn.Conv2d):
                pool = any(isinstance(after, nn.MaxPool2d) for after in layers[index + 1 : index + 4])
                features = lean_block(features, layer, layers[index + 1], pool)
            elif isinstance(layer, nn.Dropout2d):
                features = layer(features)
        return features


def lean_block(inputs: torch.Tensor, conv: nn.Conv2d, norm: nn.BatchNorm2d, pool: bool) -> torch.Tensor:
    """Compute `conv`, `norm`, ReLU and, with `pool`, MaxPool2d(2) in one step that keeps a third of the memory.

    [batch, inputs, h, w] -> [batch, outputs, h/2, w/2]; the numbers are those of the layers one after the other.
    Pooling comes first: the maximum of an increasing function is the function of the maximum, so with γ ≥ 0
    `pool(relu(norm(y)))` equals `relu(norm(pool(y)))`, and where γ < 0 the sign of the convolution is reversed. Batch
    norm still takes its mean and variance over the unpooled `y`. The batch is processed in chunks that stay in the
    processor's cache, and the backward pass needs only `y` at full resolution, which the first block computes again
    instead of keeping it.

    `conv` must be 3×3 with padding 1. In training the running statistics of `norm` are updated as `norm` itself would.
    Under autocast everything is computed in its dtype, statistics in fp32.
    """
    if torch.is_autocast_enabled("cpu"):
        inputs = inputs.to(torch.get_autocast_dtype("cpu"))
    if not norm.training:
        return _predict_block(inputs, conv, norm, pool)
    inputs = inputs.contiguous(memory_format=torch.channels_last)
    outputs, mean, variance = _LeanBlock.apply(inputs, conv.weight, conv.bias, norm.weight, norm.bias, norm.eps, pool)
    count = inputs.shape[0] * inputs.shape[2] * inputs.shape[3]
    norm.num_batches_tracked += 1
    norm.running_mean.lerp_(mean, norm.momentum)
    norm.running_var.lerp_(variance * (count / (count - 1)), norm.momentum)  # PyTorch keeps the unbiased variance
    return outputs


def _predict_block(inputs: torch.Tensor, conv: nn.Conv2d, norm: nn.BatchNorm2d, pool: bool) -> torch.Tensor:
    """With fixed statistics the norm is part of the convolution."""
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    weight = _channels_last(conv.weight * scale[:, None, None, None], inputs.dtype)
    bias = ((conv.bias - norm.running_mean) * scale + norm.bias).to(inputs.dtype)
    parts = []
    for chunk in inputs.split(CHUNK):
        part = torch.conv2d(chunk, weight, bias, padding=1)
        parts.append(F.max_pool2d(part, 2) if pool else part)
    return torch.cat(parts).relu_()


def _channels_last(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return tensor.to(dtype).contiguous(memory_format=torch.channels_last)


def _per_channel(values: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return values.to(dtype)[:, None, None]


class _LeanBlock(torch.autograd.Function):
    """Outputs, and mean and variance over the batch, fp32 [outputs], which have no gradient."""

    @staticmethod
    def forward(ctx: Any, inputs, weight, bias, gamma, beta, eps: float, pool: bool):
        sign = torch.where(gamma < 0, -1.0, 1.0)
        signed_weight = _channels_last(weight * sign[:, None, None, None], inputs.dtype)
        signed_bias = (bias * sign).to(inputs.dtype)
        recompute = not ctx.needs_input_grad[0]  # the first block: its convolution is cheap, its output the largest
        full, pooled, means, variances = [], [], [], []
        for chunk in inputs.split(CHUNK):
            y = torch.conv2d(chunk, signed_weight, signed_bias, padding=1)
            mean, variance = torch.batch_norm_update_stats(y, None, None, 0.0)
            means.append(mean.float())
            variances.append(variance.float())
            pooled.append(F.max_pool2d(y, 2) if pool else y)
            if not recompute:
                full.append(y)
        share = torch.tensor([len(part) for part in pooled], dtype=torch.float32)[:, None] / len(inputs)
        mean = (share * torch.stack(means)).sum(0)
        variance = (share * (torch.stack(variances) + (torch.stack(means) - mean) ** 2)).sum(0)
        inverse_std = (variance + eps).rsqrt()
        scale = gamma.abs() * inverse_std
        outputs = torch.cat(pooled)
        outputs.mul_(_per_channel(scale, inputs.dtype)).add_(_per_channel(beta - mean * scale, inputs.dtype)).relu_()
        ctx.save_for_backward(inputs, signed_weight, signed_bias, sign, scale, mean, inverse_std, outputs)
        ctx.full, ctx.pooled, ctx.pool = full, pooled, pool
        signed_mean = mean * sign
        ctx.mark_non_differentiable(signed_mean, variance)
        return outputs, signed_mean, variance

    @staticmethod
    def backward(ctx: Any, gradient, *_):
        inputs, weight, bias, sign, scale, mean, inverse_std, outputs = ctx.saved_tensors
        dtype, channels = inputs.dtype, len(scale)
        # Through ReLU, and the two sums over the batch in the gradient of batch norm.
        gradients, total, total_y = [], torch.zeros(channels), torch.zeros(channels)
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        for part, output, y in zip(gradient.split(CHUNK), outputs.split(CHUNK), ctx.pooled, strict=True):
            part = torch.ops.aten.threshold_backward(part, output, 0)
            gradients.append(part)
            total += part.sum((0, 2, 3)).float()
            total_y += (part * y).sum((0, 2, 3)).float()
        total_normed = (total_y - mean * total) * inverse_std
        # d loss / d y = scale · (gradient − mean(gradient) − ŷ · mean(gradient · ŷ)), linear in y
        count = inputs.shape[0] * inputs.shape[2] * inputs.shape[3]
        slope = -scale * total_normed * inverse_std / count
        constant = _per_channel(-scale * total / count - slope * mean, dtype)
        slope, scale = _per_channel(slope, dtype), _per_channel(scale, dtype)
        weight_gradient, input_gradients = torch.zeros(weight.shape), []
        for index, chunk in enumerate(inputs.split(CHUNK)):
            y = ctx.full[index] if ctx.full else torch.conv2d(chunk, weight, bias, padding=1)
            y_gradient = torch.addcmul(constant, y, slope)
            part = gradients[index].mul_(scale)
            if ctx.pool:
                _, positions = F.max_pool2d(y, 2, return_indices=True)
                y_gradient += torch.ops.aten.max_pool2d_with_indices_backward(
                    part, y, [2, 2], [2, 2], [0, 0], [1, 1], False, positions
                )
            else:
                y_gradient += part
            input_part, weight_part, _ = torch.ops.aten.convolution_backward(
                y_gradient, chunk, weight, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1,
                [ctx.needs_input_grad[0], True, False],
            )  # fmt: skip
            weight_gradient += weight_part.float()
            input_gradients.append(input_part)
            if ctx.full:
                ctx.full[index] = None  # no longer needed
        weight_gradient *= sign[:, None, None, None]
        # Batch norm subtracts any constant that the convolution adds, so its bias has no gradient.
        bias_gradient = torch.zeros(channels)
        input_gradient = torch.cat(input_gradients) if ctx.needs_input_grad[0] else None
        return input_gradient, weight_gradient, bias_gradient, total_normed * sign, total, None, None
