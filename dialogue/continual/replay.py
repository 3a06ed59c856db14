"""Rehearsal from a bounded memory of whole dialogues (Robins 1995; Chaudhry et al. 2019).

The memory is shared equally by the domains learned so far. Of each it keeps the dialogues with
the smallest hashes that fit: a uniform sample that does not depend on the order they came in, and
that shrinks, when more domains come, to the sample it would have been.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict

from dialogue.config import Finetune
from dialogue.shards import Shard, concatenate


class Replay:
    """A share of every round's dialogues comes from the memory."""

    def examples(self, new: Shard, memory: Shard, settings: Finetune) -> Shard:
        """The new domain and the rehearsal, the earlier domains in equal parts."""
        share = settings.replay.share
        if len(memory) == 0 or share == 0.0:
            return new
        if share >= 1.0:
            raise ValueError(
                "finetune.replay.share is 1: nothing of the new domain would be learned"
            )
        wanted = round(len(new) * share / (1.0 - share))
        rehearsed = _round_robin(_by_domain(memory), wanted)
        return concatenate([new, memory.select(rehearsed)]) if rehearsed else new

    def remember(self, new: Shard, memory: Shard, settings: Finetune) -> Shard:
        """Old and new dialogues, each domain within its part of the bytes."""
        both = concatenate([memory, new])
        domains = _by_domain(both)
        budget = settings.replay.max_bytes // len(domains)
        per_token = both.token_bytes
        kept: list[int] = []
        for indices in domains.values():
            used = 0
            for index in indices:
                used += int(both.lengths[index]) * per_token
                if used > budget:
                    break
                kept.append(index)
        return both.select(kept)


def _by_domain(shard: Shard) -> dict[str, list[int]]:
    """Indices by domain, in the order of the dialogues' hashes."""
    domains: dict[str, list[int]] = defaultdict(list)
    for index in sorted(range(len(shard)), key=lambda i: _position(shard.ids[i])):
        domains[shard.domains[index]].append(index)
    return dict(sorted(domains.items()))


def _round_robin(domains: dict[str, list[int]], wanted: int) -> list[int]:
    """`wanted` indices, one domain after the other, until all are used up."""
    longest = max(map(len, domains.values()))
    turns = [group[i] for i in range(longest) for group in domains.values() if i < len(group)]
    return turns[:wanted]


def _position(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
