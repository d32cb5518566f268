"""Nearness to landmarks: what turns one linear layer into a decision that follows the recordings it has seen."""

import torch
from torch import nn

MIN_SHARE = 1e-5  # of the largest eigenvalue; directions in which the landmarks hardly differ are left out


class NystroemFeatures(nn.Module):
    """Features [recordings, width] to nearness, [recordings, count], by a Gaussian kernel (Nyström's method).

    A linear layer on it, with a penalty on its squared weights, is a kernel machine on the landmarks: logistic
    regression that bends where recordings show that it must (Williams and Seeger, 2001).

    Args:
        width: of the features, which should have a mean square sum of about 1 around 0.
        count: landmarks, at most; with fewer recordings every one is a landmark and the rest says nothing.
        kernel_rate: how fast nearness fades: exp(−kernel_rate · squared distance).
    """

    def __init__(self, num_features: int, count: int, gamma: float) -> None:
        super().__init__()
        if isinstance(count, bool) or not isinstance(count, int) or count < 2:
            raise ValueError(f"model.landmarks={count} must be a whole number, at least 2, or 0 for a linear decision")
        if not gamma > 0:
            raise ValueError(f"model.kernel_rate={gamma} must be above 0")
        self.gamma = gamma
        self.register_buffer("points", torch.zeros(count, num_features, dtype=torch.float16))
        self.register_buffer("whitening", torch.zeros(count, count))

    @torch.no_grad()
    def place(self, real: torch.Tensor, others: torch.Tensor | None = None) -> None:
        """Choose landmarks among recordings [recordings, width], at least half of them among the real ones.

        In which order the recordings come makes no difference but to the order of the landmarks.
        """
        count = len(self.points)
        places_of_others = 0 if others is None else min(len(others), max(count // 2, count - len(real)))
        chosen = _spread_out(real, count - places_of_others)
        if places_of_others:
            chosen = torch.cat([chosen, _spread_out(others, places_of_others)])
        self.points.zero_()
        self.points[: len(chosen)] = chosen.to(self.points.dtype)
        among_them = self._nearness(self.points[: len(chosen)].float(), len(chosen)).double()
        values, directions = torch.linalg.eigh(among_them)
        root = values.clamp(min=MIN_SHARE * values[-1]).rsqrt() * (values > MIN_SHARE * values[-1])
        self.whitening.zero_()
        self.whitening[: len(chosen), : len(chosen)] = ((directions * root) @ directions.T).to(self.whitening.dtype)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self._nearness(features, len(self.points)) @ self.whitening  # -> [recordings, count]

    def _nearness(self, features: torch.Tensor, count: int) -> torch.Tensor:
        points = self.points[:count].float()
        squares = features.square().sum(dim=1)[:, None] + points.square().sum(dim=1) - 2 * features @ points.T
        return (-self.gamma * squares.clamp(min=0)).exp()


def _spread_out(rows: torch.Tensor, count: int) -> torch.Tensor:
    """`count` of the rows, or all of them: evenly from the shortest to the longest, whatever their order."""
    if len(rows) <= count:
        return rows
    by_length = rows.norm(dim=1).argsort()
    return rows[by_length[torch.linspace(0, len(rows) - 1, count, device=rows.device).round().long()]]
