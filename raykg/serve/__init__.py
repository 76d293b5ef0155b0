"""The service: grounded answering behind HTTP, on Ray Serve.

    raykg serve jobs/configs/serve/quickstart.yaml                  # on this machine
    serve run raykg.serve.app:build config=jobs/configs/serve/...   # on a cluster, with Ray Serve's own command line

A request passes the edge (`edge.py`, in Serve's proxy), the gateway (`gateway.py`: keys, limits, routes) and a replica (`replicas.py`: the
model, the graph and `raykg.answer`, which is the same code that `raykg ask` and evaluation run).
"""
