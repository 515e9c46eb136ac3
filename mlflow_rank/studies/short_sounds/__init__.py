"""Rank and pilot of short sounds, under length, number, stride and gaps; how many clips a precision takes."""
