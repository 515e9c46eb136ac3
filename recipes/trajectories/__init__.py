"""Several trainings of one recipe that differ in their seed, with checkpoints close together: what a study reads."""
