"""An augmentation from outside the package."""

import torch


class RandomGain:
    """Make each segment louder or quieter by up to `max_gain_db`."""

    def __init__(self, max_gain_db: float) -> None:
        self.max_gain_db = max_gain_db

    def __call__(
        self, mel_db: torch.Tensor, shares: torch.Tensor, draws: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        gain_db = (2 * torch.rand(len(mel_db), generator=draws) - 1) * self.max_gain_db
        return mel_db + gain_db[:, None, None].to(mel_db.device), shares
