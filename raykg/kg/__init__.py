"""The graph: Arrow tables and NumPy arrays on disk, what is asked of them, and nothing of torch or Ray."""
