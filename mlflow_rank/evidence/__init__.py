"""What can we prove? The documents that a measurement leaves."""
