"""From recordings to batches: splits of whole recordings first, then segments as views into their mels."""
