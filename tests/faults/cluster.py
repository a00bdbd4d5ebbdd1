"""A search on a cluster of three nodes, one of which is removed while a trial runs on it.

    python tests/faults/cluster.py SPEC RESULTS

Prints JSON: whether a node was removed, and the free CPUs at the end, another node added.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import ray
from ray.cluster_utils import Cluster

from biomarl_tune.search.cluster import ray_started
from biomarl_tune.search.conductor import Conductor
from biomarl_tune.search.spec import load_spec
from biomarl_tune.search.study import Study
from biomarl_tune.search.tuner import fit

AT = 4  # iterations of both trials that run then


class Removal:
    """Take a node away once every node has a trial that has reported often enough."""

    def __init__(self, cluster, node):
        self.cluster = cluster
        self.node = node
        self.far = set()
        self.removed = False

    def started(self, number, settings, iteration):
        """Do nothing."""

    def ended(self, number, state, reason):
        """Do nothing."""

    def reported(self, number, report):
        """Remove the node, on which one of the two trials runs."""
        if report["iteration"] >= AT:
            self.far.add(number)
        if len(self.far) == 2 and not self.removed:
            self.removed = True
            self.cluster.remove_node(self.node, allow_graceful=False)


def main():
    """Run the search and print what happened."""
    file, results = Path(sys.argv[1]), Path(sys.argv[2])
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    cluster.wait_for_nodes()
    try:
        with (
            ray_started(1, cluster.address),
            Study.create(results, load_spec(file), file.read_text()) as study,
        ):
            removal = Removal(cluster, nodes[0])
            fit(Conductor(study, (removal,)), 2, study.directory.new_attempt())
            cluster.add_node(num_cpus=1)
            cluster.wait_for_nodes()
            begin = time.monotonic()
            while ray.available_resources().get("CPU") != 2.0 and time.monotonic() - begin < 60:
                time.sleep(0.5)
            said = {"removed": removal.removed, "free_cpus": ray.available_resources().get("CPU")}
    finally:
        cluster.shutdown()
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()
    os._exit(0)  # threads of the cluster's own processes are not waited for


if __name__ == "__main__":
    main()
