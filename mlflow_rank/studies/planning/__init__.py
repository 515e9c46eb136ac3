"""What it takes: power of a pilot, audio for a rank, cost."""
