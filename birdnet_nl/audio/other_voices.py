"""Changes that make another bird, or another place, of a mel: pace and pitch a little different, others far behind."""

import torch

QUIETER_DB = (6.0, 20.0)  # by which a background lies below the recording that it is taken from


def change_voice(mel_db: torch.Tensor, tempo: float, pitch_bands: float, generator: torch.Generator) -> torch.Tensor:
    """Each mel at a pace up to `tempo` (a share) faster or slower, and up to `pitch_bands` higher or lower.

    [batch, mels, frames] -> the same. Bands are evenly spaced in pitch above 1 kHz, so a voice moves as a whole; what
    comes in at an edge is what lay beside it, mirrored.
    """
    batch, n_mels, frames = mel_db.shape
    draws = 2 * torch.rand(batch, 2, generator=generator) - 1
    moves = torch.zeros(batch, 2, 3)  # from where in the old mel each point of the new one comes, from -1 to 1
    moves[:, 0, 0] = 1 + tempo * draws[:, 0]
    moves[:, 1, 1] = 1
    moves[:, 1, 2] = 2 * pitch_bands * draws[:, 1] / n_mels
    grid = torch.nn.functional.affine_grid(moves, [batch, 1, n_mels, frames], align_corners=False).to(mel_db.device)
    moved = torch.nn.functional.grid_sample(
        mel_db[:, None].float(), grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )
    return moved[:, 0].to(mel_db.dtype)


def add_background(mel_db: torch.Tensor, share: float, generator: torch.Generator) -> torch.Tensor:
    """A share of the mels with another of the batch behind them, 6 to 20 dB below what it was: [batch, mels, frames].

    Of two sounds in one place the louder is heard. The type stays: what is so far behind is not what was recorded.
    """
    batch = len(mel_db)
    changed = torch.nonzero(torch.rand(batch, generator=generator) < share).flatten().to(mel_db.device)
    others = torch.randint(batch, (len(changed),), generator=generator).to(mel_db.device)
    low, high = QUIETER_DB
    below_db = (low + (high - low) * torch.rand(len(changed), generator=generator)).to(mel_db.device, mel_db.dtype)
    result = mel_db.clone()
    result[changed] = torch.maximum(mel_db[changed], mel_db[others] - below_db[:, None, None])
    return result
