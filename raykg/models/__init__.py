"""Language models: where they come from, what is trained, and how they are saved."""
