"""The commands of `birdnet-nl`, one file each; imported by `birdnet_nl.cli` alone."""
