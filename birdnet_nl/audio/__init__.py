"""From a file to one log-mel array per recording, decoded once and kept in a memory-mapped cache."""
