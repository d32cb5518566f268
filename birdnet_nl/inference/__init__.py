"""Inference: load a trained classifier and predict recordings."""
