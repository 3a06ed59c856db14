"""Fine-tune on the new domain alone: what every other strategy is measured against."""

from __future__ import annotations

from dialogue.continual.strategy import Strategy


class Naive(Strategy):
    """No rehearsal, nothing added to the loss, nothing new in the memory."""
