"""The command line: one file per command; `raykg.cli.main` finds them in a table and imports only the one that runs."""
