"""Augmentation towards the clips of stations: shorter ones, and mels relative to the noise of the clip alone."""

from collections.abc import Callable

import torch

from birdnet_nl.audio.mel import MelParams

Augment = Callable[[torch.Tensor, torch.Tensor, torch.Generator], tuple[torch.Tensor, torch.Tensor]]


class ClipAugment:
    """Random lengths and the front end of short clips, before another augmentation.

    Args:
        mel: front end of the mels.
        shorten_share: share of a batch that is shortened: a stretch of random length and place is moved to the start,
            and padding follows, as after the end of a short recording.
        min_length: of a shortened mel, as a share of its frames.
        own_median_share: share of a batch from which the median of each band over its own frames is subtracted, as the
            front end of a clip does: it contains the bird when a bird fills the clip. Only with
            `mel.normalisation=band_median`.
        then: the augmentation that follows; None for no other.
    """

    def __init__(
        self,
        mel: MelParams,
        shorten_share: float,
        min_length: float,
        own_median_share: float,
        then: Augment | None = None,
    ) -> None:
        for name, share in (("shorten_share", shorten_share), ("own_median_share", own_median_share)):
            if not 0 <= share <= 1:
                raise ValueError(f"augment.{name}={share} must be between 0 and 1")
        if not 0 < min_length <= 1:
            raise ValueError(f"augment.min_length={min_length} must be above 0 and at most 1")
        self.padding_db, self.relative = mel.padding_db, mel.normalisation == "band_median"
        self.shorten_share, self.min_length, self.own_median_share = shorten_share, min_length, own_median_share
        self.then = then

    def __call__(
        self, mel_db: torch.Tensor, targets: torch.Tensor, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Augment mels float [batch, mels, frames] and targets [batch, types]; the inputs are not changed."""
        batch, _, frames = mel_db.shape
        share = 1 - torch.rand(batch, 1, generator=generator) * (1 - self.min_length)
        shortened = torch.rand(batch, 1, generator=generator) < self.shorten_share
        own_median = torch.rand(batch, 1, 1, generator=generator) < self.own_median_share
        lengths = torch.where(shortened, (share * frames).round().clamp(min=1), frames).long()  # [batch, 1]
        starts = (torch.rand(batch, 1, generator=generator) * (frames - lengths + 1)).long()
        positions = torch.arange(frames)[None]
        inside = (positions < lengths).to(mel_db.device)[:, None]  # [batch, 1, frames]
        places = (positions + starts).clamp(max=frames - 1).to(mel_db.device)[:, None].expand_as(mel_db)
        moved = mel_db.gather(2, places)
        if self.relative and self.own_median_share:
            medians = moved.float().masked_fill(~inside, torch.nan).nanmedian(dim=2, keepdim=True).values
            moved = torch.where(own_median.to(mel_db.device), (moved.float() - medians).to(mel_db.dtype), moved)
        mel_db = torch.where(inside, moved, torch.tensor(self.padding_db, dtype=mel_db.dtype, device=mel_db.device))
        return (mel_db, targets) if self.then is None else self.then(mel_db, targets, generator)
