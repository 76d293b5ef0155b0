"""Training: one step loop, several engines, recipes on top.

A recipe (`finetune.py`) hands the loop a `Task`; an engine of `engines/` hands it gradients and updates; `launch.py` puts the loop on Ray
Train's workers. The loop itself imports neither Ray nor DeepSpeed, so a step can be run and timed on a bare machine.
"""
