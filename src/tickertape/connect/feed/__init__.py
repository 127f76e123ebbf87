"""Replay of CSV files into a topic."""
