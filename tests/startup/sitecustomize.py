"""Python imports this in every process whose PYTHONPATH names this folder: garbage is looked for less often, above all while importing.

At its end Python looks through all that a process holds; with torch and transformers that takes a second and more, and finds nothing.
"""

import atexit
import gc

gc.set_threshold(100_000, 50, 100)
atexit.register(gc.freeze)
