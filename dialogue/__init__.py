"""HOW: the science and its mechanisms; knows no orchestrator, tracker or store."""
