"""Waits on each worker node until Ray says that it drains, and prints the first one's id: what a training worker there would know."""

import sys

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy


@ray.remote(num_cpus=1)
def watch() -> str:
    import time

    from raykg.train.draining import Draining

    with Draining() as leaving:
        while not leaving():
            time.sleep(0.1)
    return ray.get_runtime_context().get_node_id()


ray.init(log_to_driver=False)
nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
watching = [watch.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False), max_retries=0).remote() for node in nodes]
ray.get(ray.remote(num_cpus=0)(lambda: None).remote())
sys.stdout.write(f"watching {len(nodes)}\n")
sys.stdout.flush()
done, _ = ray.wait(watching, timeout=90)
sys.stdout.write(f"leaving {ray.get(done[0])}\n")
