r"""Measure a finished run on held-out questions by other contenders than its own: strategies, topics, the base model.

On this machine, after `python jobs/finetune.py jobs/configs/finetune/smoke.yaml`:

    python jobs/evaluate.py jobs/configs/evaluate/smoke.yaml
    python jobs/evaluate.py jobs/configs/evaluate/strategies.yaml run.name=mine

On a cluster:

    raykg submit jobs/specs/evaluate.yaml

The same as `raykg evaluate`; everything it does is in `raykg/eval/suites/kgqa.py`.
"""

import sys

from raykg.cli.main import main

if __name__ == "__main__":
    main(["evaluate", *sys.argv[1:]])
