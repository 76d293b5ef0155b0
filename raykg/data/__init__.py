"""Questions, prompts and token batches, streamed by Ray Data."""
