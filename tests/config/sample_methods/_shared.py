"""Shared code of the samples, not a method."""
