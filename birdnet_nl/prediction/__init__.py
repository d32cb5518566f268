"""Prediction of many recordings: inputs, models by species, detections of other programs, resumable jobs, tables."""
