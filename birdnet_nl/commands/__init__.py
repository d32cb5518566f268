"""Commands of `birdnet-nl`, with their tables and pages beside them."""
