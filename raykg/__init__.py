"""raykg teaches language models what a knowledge graph knows, on Ray."""

__version__ = "0.1.0"
