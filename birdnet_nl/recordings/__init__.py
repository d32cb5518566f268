"""Recordings on disk: where they are, what was recorded, and demo recordings where there are none."""
