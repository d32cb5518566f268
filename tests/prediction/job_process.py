"""A job in a process of its own, which tests may kill: job_process.py INPUT MODEL OUT [WORKERS]."""

import sys
from pathlib import Path

from fake_model import load_fake

from birdnet_nl.prediction.prediction import Prediction, Request

if __name__ == "__main__":
    recordings, model, out, *workers = sys.argv[1:]
    request = Request(
        inputs=[recordings], model=model, out=Path(out), load=load_fake,
        formats=("csv", "raven", "audacity", "json"), workers=int(workers[0]) if workers else 1,
    )  # fmt: skip
    prediction = Prediction(request)
    prediction.run()
    prediction.write()
