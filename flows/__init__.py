"""WHEN: Prefect flows that chain the steps and act on their verdict."""
