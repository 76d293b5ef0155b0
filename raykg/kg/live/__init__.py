"""The live graph: a version that people edit while it is asked, with a durable log, proposals and snapshots.

    from raykg.kg.live.graph import LiveGraph
    live = LiveGraph.open("runs/live/movies", KnowledgeGraph.open("runs/graphs/movies"))
    live.add("tt0078748", "directed_by", "Ridley Scott", who="ann", why="the film's credits")
    view = live.view()                 # a KnowledgeGraph: plans, proofs and retrievers run on it

`overlay` lays a few changes over a memory-mapped version, `log` keeps them on any file system, `claims` forbids two owners, `graph` is the
owner's side and `follower` everybody else's, `snapshot` makes the next version, `sparql_pool` answers free SPARQL beside it.
"""
