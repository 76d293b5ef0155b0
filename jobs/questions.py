r"""Make the question sets of a run: questions, plans and answers, tests first; a fine-tuning of the same name finds them.

On this machine:

    python jobs/questions.py jobs/configs/questions/smoke.yaml
    python jobs/questions.py jobs/configs/finetune/quickstart.yaml questions.train.count=1000

On a cluster:

    raykg submit jobs/specs/questions.yaml

The same as `raykg questions`; everything it does is in `raykg/data/prepare.py`.
"""

import sys

from raykg.cli.main import main

if __name__ == "__main__":
    main(["questions", *sys.argv[1:]])
