"""The report card: the verdict and all its evidence on one page."""
