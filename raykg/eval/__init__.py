"""Metrics, suites and reports. A metric is defined in its docstring and nowhere else."""
