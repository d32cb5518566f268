"""What runs, caches and models occupy on disk, and what of it can go."""
