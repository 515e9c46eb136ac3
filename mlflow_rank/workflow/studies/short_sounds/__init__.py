"""Sounds cut, repeated and buried, heard by an encoder and its shuffled copy."""
