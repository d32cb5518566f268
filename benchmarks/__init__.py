"""Side-by-side timings and searches, runnable by anyone."""
