r"""Teach a language model what a knowledge graph knows: graph -> questions -> fine-tuning -> evaluation -> report.

On this machine:

    python jobs/finetune.py jobs/configs/finetune/quickstart.yaml
    python jobs/finetune.py jobs/configs/finetune/metaqa.yaml train.steps=200 run.name=shorter

On a cluster whose nodes share a folder:

    raykg submit jobs/specs/finetune.yaml run.storage=/shared/runs

The same as `raykg train`; everything it does is in `raykg/train/finetune.py`.
"""

import sys

from raykg.cli.main import main

if __name__ == "__main__":
    main(["train", *sys.argv[1:]])
