"""Data for training: splits of whole recordings, segments as views into their mels, and batches."""
