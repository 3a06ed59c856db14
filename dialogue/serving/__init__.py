"""The chat server: one model, many people, every reply kept."""
