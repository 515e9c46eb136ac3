"""What people see of a measurement: a figure of rank by layer, and a table for the terminal."""
