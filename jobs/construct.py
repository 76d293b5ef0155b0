r"""Learn posts task after task, without forgetting: posts -> features -> every strategy with every seed -> one table.

On this machine:

    python jobs/construct.py jobs/configs/construct/mnre5.yaml
    python jobs/construct.py jobs/configs/construct/mnre5.yaml seeds=[0,1,2,3,4] run.name=five-seeds

On a cluster whose nodes share a folder:

    raykg submit jobs/specs/construct.yaml run.storage=/shared/runs

The same as `raykg train`; everything it does is in `raykg/continual/study.py`.
"""

import sys

from raykg.cli.main import main

if __name__ == "__main__":
    main(["train", *sys.argv[1:]])
