r"""Learn posts task after task, without forgetting: posts -> features -> every strategy with every seed -> one table.

On this machine:

    python jobs/construct.py jobs/configs/construct/mnre5.yaml
    python jobs/construct.py jobs/configs/construct/mnre5.yaml seeds=[0,1,2,3,4] run.name=five-seeds

On a cluster whose nodes share a folder, from a checkout, with Ray's own command line:

    ray job submit --working-dir . -- \
        python jobs/construct.py jobs/configs/construct/mnre5.yaml resources.address=auto run.storage=/shared/runs side_by_side=24

The same as `raykg train`; everything it does is in `raykg/continual/study.py`.
"""

import sys

from raykg.cli.main import main

if __name__ == "__main__":
    main(["train", *sys.argv[1:]])
