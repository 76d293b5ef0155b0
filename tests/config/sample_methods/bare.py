"""A sample without a Config."""
