"""Hyperparameter search: many runs of one job with Ray Tune, whose every decision is written down before it acts."""
