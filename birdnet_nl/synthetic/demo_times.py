"""Exact times of the demo recordings, written to `annotations.csv` in their folder when a run asks for them."""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import joblib

from birdnet_nl.recordings.annotations import ANNOTATIONS, Annotation, write_annotations
from birdnet_nl.recordings.folder import FolderContent
from birdnet_nl.synthetic.demo import DEMO_MARK, MEDIAN_S

SOURCE = "demo generator"


def write_demo_annotations(contents: Sequence[FolderContent]) -> None:
    """Write `annotations.csv` of every demo folder that has none; nothing else in the folder changes."""
    for folder in (listing.folder for content in contents for listing in content.listings):
        if (folder / DEMO_MARK).is_file() and not (folder / ANNOTATIONS).is_file():
            write_annotations(folder, demo_annotations(folder))


def demo_annotations(folder: Path) -> list[Annotation]:
    """Compute the time and the true type of each utterance in the recordings of a demo folder.

    The true type is the one that was rendered: a recording with a wrong label, of which the demo has a few on purpose,
    has annotations with the right one.
    """
    from birdnet_nl.synthetic.plan import plan_recordings
    from birdnet_nl.synthetic.scene import utterance_times

    params = json.loads((folder / DEMO_MARK).read_text())
    plans = plan_recordings(
        params["slug"],
        params["recordings_per_type"],
        params["seed"],
        params["difficulty"],
        params.get("median_s", MEDIAN_S),
    )
    with ThreadPoolExecutor(joblib.cpu_count()) as pool:
        times = list(pool.map(utterance_times, plans))
    return [
        Annotation(plan.file_name, round(start_s, 4), round(end_s, 4), type_text=name, source=SOURCE)
        for plan, of_plan in zip(plans, times, strict=True)
        for start_s, end_s, name in of_plan
    ]
