"""Python imports this in every process whose PYTHONPATH names this folder: garbage is looked for less often, above all while importing."""

import gc

gc.set_threshold(100_000, 50, 100)
