"""Changes to mels in training, so that a network learns the voice and not the place: masks, and mixing of recordings.

Works on dB, before normalisation, on whatever device the batch is on.
"""

import torch

from birdnet_nl.audio.other_voices import add_background, change_voice


class MelAugment:
    """Mixes pairs of mels and masks stretches of time and bands.

    Args:
        mix_share: share of a batch that is mixed with another mel of it. Of two sounds in one place the louder is
            heard, so the mix is their maximum in dB, and it is half of each one's type.
        time_masks, longest_time_mask: how many stretches of frames are silenced, and the longest as a share of all.
        band_masks, widest_band_mask: the same for bands.
        tempo: each mel is up to this share faster or slower, …
        pitch_bands: … and up to so many bands higher or lower (`audio/other_voices.py`).
        background_share: share of a batch that gets another mel of it as a quiet background; the type stays.

    Masks take the mean of the mel, as SpecAugment (Park et al., 2019).
    """

    def __init__(
        self,
        mix_share: float,
        time_masks: int,
        longest_time_mask: float,
        band_masks: int,
        widest_band_mask: float,
        tempo: float = 0.0,
        pitch_bands: float = 0.0,
        background_share: float = 0.0,
    ) -> None:
        for name, share in (
            ("mix_share", mix_share),
            ("tempo", tempo),
            ("background_share", background_share),
            ("longest_time_mask", longest_time_mask),
            ("widest_band_mask", widest_band_mask),
        ):
            if not 0 <= share <= 1:
                raise ValueError(f"augment.{name}={share} must lie between 0 and 1")
        for name, count in (("time_masks", time_masks), ("band_masks", band_masks), ("pitch_bands", pitch_bands)):
            if count < 0:
                raise ValueError(f"augment.{name}={count} must be 0 (none) or more")
        self.mix_share = mix_share
        self.time_masks, self.longest_time_mask = time_masks, longest_time_mask
        self.band_masks, self.widest_band_mask = band_masks, widest_band_mask
        self.tempo, self.pitch_bands, self.background_share = tempo, pitch_bands, background_share

    @property
    def changes_nothing(self) -> bool:
        asked = (self.mix_share, self.time_masks, self.band_masks, self.tempo, self.pitch_bands, self.background_share)
        return not any(asked)

    def __call__(
        self, mel_db: torch.Tensor, targets: torch.Tensor, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mels float [batch, mels, frames] and their share of each type [bags, types]; new tensors, same shapes.

        The crops of a bag follow each other. Bags are mixed as a whole, so that what they are stays one answer.
        """
        if self.tempo or self.pitch_bands:
            mel_db = change_voice(mel_db, self.tempo, self.pitch_bands, generator)
        if self.background_share:
            mel_db = add_background(mel_db, self.background_share, generator)
        if self.mix_share:
            bags = mel_db.view(len(targets), -1, mel_db.shape[2])  # -> [bags, bag · mels, frames]
            bags, targets = self._mix(bags, targets, generator)
            mel_db = bags.view(mel_db.shape)
        if self.time_masks or self.band_masks:
            mean = mel_db.float().mean(dim=(1, 2)).to(mel_db.dtype)[:, None, None]
            hidden = self._masks(len(mel_db), mel_db.shape[2], self.time_masks, self.longest_time_mask, generator)
            hidden = hidden[:, None, :]  # [batch, 1, frames]
            bands = self._masks(len(mel_db), mel_db.shape[1], self.band_masks, self.widest_band_mask, generator)
            hidden = (hidden | bands[:, :, None]).to(mel_db.device)  # [batch, mels, frames]
            mel_db = torch.where(hidden, mean, mel_db)
        return mel_db, targets

    def _mix(self, mel_db: torch.Tensor, targets: torch.Tensor, generator: torch.Generator):
        batch = len(mel_db)
        mixed = torch.nonzero(torch.rand(batch, generator=generator) < self.mix_share).flatten().to(mel_db.device)
        others = torch.randint(batch, (len(mixed),), generator=generator).to(mel_db.device)
        mel_db, targets, original, types = mel_db.clone(), targets.clone(), mel_db, targets
        mel_db[mixed] = torch.maximum(original[mixed], original[others])
        targets[mixed] = (types[mixed] + types[others]) / 2
        return mel_db, targets

    @staticmethod
    def _masks(batch: int, size: int, count: int, longest: float, generator: torch.Generator) -> torch.Tensor:
        """Which points are hidden, bool [batch, size]: `count` stretches of up to `longest · size` points each."""
        hidden = torch.zeros(batch, size, dtype=torch.bool)
        points = torch.arange(size)
        for _ in range(count):
            lengths = torch.rand(batch, 1, generator=generator) * longest * size
            starts = torch.rand(batch, 1, generator=generator) * (size - lengths)
            hidden |= (points >= starts) & (points < starts + lengths)
        return hidden
