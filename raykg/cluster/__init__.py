"""Jobs on a Ray cluster: what is submitted, and how raykg speaks to the cluster's job server."""
