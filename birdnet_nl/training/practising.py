"""From invented recordings to a file of practised weights, with the settings of `trainer=turbo`."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.progress import Progress

from birdnet_nl import __version__
from birdnet_nl.audio.mel import WIDE_COARSE as MEL
from birdnet_nl.embeddings.synthetic_mels import synthetic_mels
from birdnet_nl.models.pretrained import write_pretrained
from birdnet_nl.recordings.recording import VOCALIZATION_TYPES
from birdnet_nl.synthetic.generator import GENERATOR
from birdnet_nl.training.pretrain import SyntheticCrops, pretrain, share_right

NETWORK = {  # as in conf/model/compact_cnn.yaml, which a test compares
    "_target_": "birdnet_nl.models.compact_cnn.CompactCnn",
    "channels": [32, 64, 128],
    "dropout": 0.2,
    "pooling": "log_mean_exp",
    "types": len(VOCALIZATION_TYPES),
}
SEGMENT_S = 3.0


def pretrain_to_file(
    recordings: int, steps: int, judged: int, seed: int, out: Path, cache_dir: Path, bar: Progress
) -> dict[str, Any]:
    """Writes `out`; returns its card."""
    hearing = bar.add_task("inventing recordings", total=recordings + judged)
    mels = synthetic_mels(
        recordings + judged, MEL, cache_dir, os.cpu_count() or 1, lambda done: bar.advance(hearing, done)
    )
    learned = SyntheticCrops(mels[:recordings], 0, MEL, SEGMENT_S)
    others = SyntheticCrops(mels[recordings:], recordings, MEL, SEGMENT_S)
    training = bar.add_task("practising", total=steps)
    network = pretrain(NETWORK, learned, MEL, steps, seed, lambda loss: bar.advance(training))
    card = {
        "version": __version__,
        "generator": GENERATOR,
        "recordings": recordings,
        "steps": steps,
        "seed": seed,
        "network": NETWORK,
        "mel": asdict(MEL),
        "segment_s": SEGMENT_S,
        "types": list(VOCALIZATION_TYPES),
        "judged": judged,
        "judged_right": share_right(network, others, MEL),
    }
    write_pretrained(out, network, card)
    return card
