"""Stores that can hold a team's files, one module each."""
