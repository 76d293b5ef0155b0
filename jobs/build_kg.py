r"""Import files of triples, or build a built-in graph: an immutable, hashed version that all later jobs open.

On this machine:

    python jobs/build_kg.py jobs/configs/build_kg/smoke.yaml
    python jobs/build_kg.py jobs/configs/build_kg/triples.yaml graph.source='/data/dump/*.nt.gz'

On a cluster:

    raykg submit jobs/specs/build_kg.yaml

The same as `raykg kg import`; everything it does is in `raykg/kg/importing.py`.
"""

import sys

from raykg.cli.main import main

if __name__ == "__main__":
    main(["kg", "import", *sys.argv[1:]])
