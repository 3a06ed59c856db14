"""WHAT: one module per step, a verb, and one door module per outside service."""
