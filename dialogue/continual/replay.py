"""Rehearsal from a bounded memory of whole dialogues (Robins 1995; Chaudhry et al. 2019).

The memory is shared equally by the domains learned so far. Of each it keeps the dialogues with
the smallest hashes that fit: a uniform sample that does not depend on the order they came in, and
that shrinks, when more domains come, to the sample it would have been.

A round rehearses the domains in parts of as many tokens, not dialogues: beside chats a handful of
short commands would be all that is left of a whole domain.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import replace

import numpy as np

from dialogue.continual.memory import Memory
from dialogue.continual.strategy import Strategy
from dialogue.shards import Shard, concatenate, empty_shard


class Replay(Strategy):
    """A share of every round's dialogues comes from the memory."""

    def rehearsed(self) -> Shard:
        """The earlier domains, as many tokens of each."""
        settings, memory = self.round.settings.replay, self.round.memory.dialogues
        wanted = num_beside(len(self.round.new), settings.share)
        if len(memory) == 0 or wanted == 0:
            return empty_shard()
        return memory.select(_equal_parts(memory, wanted, settings.max_repeats))

    def remember(self, memory: Memory) -> Memory:
        """Old and new dialogues, each domain within its part of the bytes."""
        both = concatenate([memory.dialogues, self.round.new])
        kept = sample(both, self.round.settings.replay.max_bytes)
        return replace(memory, dialogues=kept)


def num_beside(num_new: int, share: float) -> int:
    """How many dialogues make `share` of a round beside `num_new` of the new domain.

    One at least where the share is not 0: a round of few would rehearse nothing.
    """
    return max(int(share > 0), round(num_new * share / (1.0 - share)))


def sample(shard: Shard, max_bytes: int) -> Shard:
    """The dialogues of each domain that fit its equal part of the bytes, by their hashes."""
    domains = _by_domain(shard)
    budget = max_bytes // max(1, len(domains))
    kept: list[int] = []
    for indices in domains.values():
        used = 0
        for index in indices:
            used += int(shard.lengths[index]) * shard.token_bytes
            if used > budget:
                break
            kept.append(index)
    return shard.select(kept)


def sample_number(shard: Shard, number: int) -> Shard:
    """So many dialogues, by their hashes."""
    return shard.select(sorted(range(len(shard)), key=lambda i: _position(shard.ids[i]))[:number])


def _by_domain(shard: Shard) -> dict[str, list[int]]:
    """Indices by domain, in the order of the dialogues' hashes."""
    domains: dict[str, list[int]] = defaultdict(list)
    for index in sorted(range(len(shard)), key=lambda i: _position(shard.ids[i])):
        domains[shard.domains[index]].append(index)
    return dict(sorted(domains.items()))


def _equal_parts(memory: Shard, wanted: int, max_repeats: int) -> list[int]:
    """Indices with the tokens of `wanted` dialogues of mean length, as many of each domain.

    The mean is over domains, of their dialogues' mean lengths. A domain is repeated so many times
    at most; what it cannot fill the larger ones do. Each has one dialogue at least.
    """
    domains = [np.array(indices) for indices in _by_domain(memory).values()]
    domains.sort(key=lambda indices: int(memory.lengths[indices].sum()))
    left = wanted * float(np.mean([memory.lengths[indices].mean() for indices in domains]))
    chosen: list[int] = []
    for number, indices in enumerate(domains):
        repeated = np.tile(indices, max_repeats)
        lengths = memory.lengths[repeated]
        used = np.cumsum(lengths)
        part = left / (len(domains) - number)
        # The last one is taken where more than half of it fits.
        count = max(1, int(np.searchsorted(used - lengths / 2, part, side="right")))
        chosen += repeated[:count].tolist()
        left -= float(used[count - 1])
    return chosen


def _position(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
