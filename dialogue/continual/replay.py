"""Rehearsal from a bounded memory of whole dialogues (Robins 1995; Chaudhry et al. 2019).

The memory is shared equally by the domains learned so far. Of each it keeps the dialogues with
the smallest hashes that fit: a uniform sample that does not depend on the order they came in, and
that shrinks, when more domains come, to the sample it would have been.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import replace

from dialogue.continual.memory import Memory
from dialogue.continual.strategy import Strategy
from dialogue.shards import Shard, concatenate, empty_shard


class Replay(Strategy):
    """A share of every round's dialogues comes from the memory."""

    def rehearsed(self) -> Shard:
        """The earlier domains in equal parts."""
        settings, memory = self.round.settings.replay, self.round.memory.dialogues
        if len(memory) == 0:
            return empty_shard()
        wanted = num_beside(len(self.round.new), settings.share)
        return memory.select(_round_robin(_by_domain(memory), wanted, settings.max_repeats))

    def remember(self, memory: Memory) -> Memory:
        """Old and new dialogues, each domain within its part of the bytes."""
        both = concatenate([memory.dialogues, self.round.new])
        kept = sample(both, self.round.settings.replay.max_bytes)
        return replace(memory, dialogues=kept)


def num_beside(num_new: int, share: float) -> int:
    """How many dialogues make `share` of a round beside `num_new` of the new domain."""
    return round(num_new * share / (1.0 - share))


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


def _round_robin(domains: dict[str, list[int]], wanted: int, max_repeats: int) -> list[int]:
    """`wanted` indices, one domain after the other; a small domain is repeated so many times."""
    longest = max(map(len, domains.values()))
    turns = [
        group[turn % len(group)]
        for turn in range(longest * max_repeats)
        for group in domains.values()
        if turn < len(group) * max_repeats
    ]
    return turns[:wanted]


def _position(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
