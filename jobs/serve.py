r"""Serve a fine-tuned model over HTTP: questions in, answers that the graph proves out, as OpenAI's clients speak it.

On this machine, after `python jobs/finetune.py jobs/configs/finetune/quickstart.yaml`:

    python jobs/serve.py jobs/configs/serve/quickstart.yaml
    python jobs/serve.py jobs/configs/serve/quickstart.yaml http.port=8001 replicas.count=2

On a cluster, with Ray Serve's own command line, where the nodes share the folders that the config names:

    serve run raykg.serve.app:build config=jobs/configs/serve/quickstart.yaml

The same as `raykg serve`; what it builds is in `raykg/serve/app.py`.
"""

import sys

from raykg.cli.main import main

if __name__ == "__main__":
    main(["serve", *sys.argv[1:]])
