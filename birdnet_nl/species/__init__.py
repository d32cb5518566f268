"""The 232 species of the Netherlands, and what `species=...` means."""
