"""Synthetic recordings: demo recordings on disk, and any number of recordings for pretraining."""
