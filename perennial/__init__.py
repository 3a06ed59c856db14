"""The command line: `perennial` and its subcommands."""
