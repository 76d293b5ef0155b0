"""Continual multimodal knowledge-graph construction: learning new types of entities and relations without forgetting the old ones."""
