"""Commands of `birdnet-nl`, one module each, with their tables and pages beside them."""
