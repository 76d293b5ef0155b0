r"""Search the settings of a job: trials with Ray Tune, compared on held-out questions, the winner tested once.

On this machine:

    python jobs/tune.py jobs/configs/tune/movies.yaml
    python jobs/tune.py jobs/configs/tune/movies.yaml trials=16 search=tpe

On a cluster whose nodes share a folder:

    raykg submit jobs/specs/tune.yaml run.storage=/shared/runs

The same as `raykg tune`; everything it does is in `raykg/tune/sweep.py`.
"""

import sys

from raykg.cli.main import main

if __name__ == "__main__":
    main(["tune", *sys.argv[1:]])
