"""From where people have their numbers to the one table that studies read."""
