"""Evaluation of a classifier: metrics per segment and per recording, calibration, plots and files of a run."""
