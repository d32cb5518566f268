"""Features: what pretrained networks make of sound, kept per recording as mels are."""
