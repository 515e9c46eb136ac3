"""Recipes: how shipped things were made, each one command."""
