"""Judging: figures per recording and per segment, and the pictures and files of a run."""
