"""Augmentation of mel spectrograms in training: masking of times and bands, and mixing of recordings.

An augmentation is any object that is called with `(mel_db, targets, generator)` and returns `(mel_db, targets)`: mels
in dB before normalisation, float [batch, mels, frames], and the share of each type, float [batch, types], on the device
of the batch. With a property `is_identity` that is true it is not called.
"""

import torch


class MelAugment:
    """Mixing of pairs of mels, and masking of times and bands.

    Masked points take the mean of the mel, as in SpecAugment (Park et al., 2019).

    Args:
        mix_share: share of a batch that is mixed with another mel of the batch. The mix is the maximum of both in dB,
            because of two simultaneous sounds the louder one dominates, and its target is the mean of both.
        time_masks, max_time_mask: number of masked stretches of frames, and their maximum length as a share of all.
        band_masks, max_band_mask: the same for bands.
    """

    def __init__(
        self, mix_share: float, time_masks: int, max_time_mask: float, band_masks: int, max_band_mask: float
    ) -> None:
        shares = {"mix_share": mix_share, "max_time_mask": max_time_mask, "max_band_mask": max_band_mask}
        for name, share in shares.items():
            if not 0 <= share <= 1:
                raise ValueError(f"augment.{name}={share} must be between 0 and 1")
        for name, count in (("time_masks", time_masks), ("band_masks", band_masks)):
            if count < 0:
                raise ValueError(f"augment.{name}={count} must be 0 (none) or more")
        self.mix_share = mix_share
        self.time_masks, self.max_time_mask = time_masks, max_time_mask
        self.band_masks, self.max_band_mask = band_masks, max_band_mask

    @property
    def is_identity(self) -> bool:
        return not (self.mix_share or self.time_masks or self.band_masks)

    def __call__(
        self, mel_db: torch.Tensor, targets: torch.Tensor, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Augment mels float [batch, mels, frames] and targets [batch, types]; the inputs are not changed."""
        if self.mix_share:
            mel_db, targets = self._mix(mel_db, targets, generator)
        if self.time_masks or self.band_masks:
            mean = mel_db.float().mean(dim=(1, 2)).to(mel_db.dtype)[:, None, None]
            times = self._masks(len(mel_db), mel_db.shape[2], self.time_masks, self.max_time_mask, generator)
            bands = self._masks(len(mel_db), mel_db.shape[1], self.band_masks, self.max_band_mask, generator)
            masked = (times[:, None, :] | bands[:, :, None]).to(mel_db.device)  # [batch, mels, frames]
            mel_db = torch.where(masked, mean, mel_db)
        return mel_db, targets

    def _mix(self, mel_db: torch.Tensor, targets: torch.Tensor, generator: torch.Generator):
        batch = len(mel_db)
        mixed = torch.nonzero(torch.rand(batch, generator=generator) < self.mix_share).flatten().to(mel_db.device)
        partners = torch.randint(batch, (len(mixed),), generator=generator).to(mel_db.device)
        new_mel_db, new_targets = mel_db.clone(), targets.clone()
        new_mel_db[mixed] = torch.maximum(mel_db[mixed], mel_db[partners])
        new_targets[mixed] = (targets[mixed] + targets[partners]) / 2
        return new_mel_db, new_targets

    @staticmethod
    def _masks(batch: int, size: int, count: int, max_share: float, generator: torch.Generator) -> torch.Tensor:
        """Draw masks, bool [batch, size]: `count` stretches of at most `max_share · size` points each."""
        masked = torch.zeros(batch, size, dtype=torch.bool)
        points = torch.arange(size)
        for _ in range(count):
            lengths = torch.rand(batch, 1, generator=generator) * max_share * size
            starts = torch.rand(batch, 1, generator=generator) * (size - lengths)
            masked |= (points >= starts) & (points < starts + lengths)
        return masked
