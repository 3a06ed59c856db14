"""What the base model remembers of itself: instructions that it writes, and answers.

A model that follows instructions has learned how they look. After what stands before a question,
and with no question, it writes one, and then its reply (Xu et al. 2024, Magpie, arXiv:2406.08464).
So what it could do before any lesson has its part of the memory, as every domain has, without data.
"""

from __future__ import annotations

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from dialogue.config import Pretrain
from dialogue.continual.memory import Memory
from dialogue.continual.pseudo import Writing, draw_seed, write
from dialogue.decoding import Sampling
from dialogue.encoding import Encoder
from dialogue.exam import INSTRUCTIONS
from dialogue.instructions import plain_instructions
from dialogue.model import choose_precision
from dialogue.near_duplicates import near_pairs_between, signatures
from dialogue.shards import empty_shard, pack

_SIMILARITY = 0.7
"""Jaccard index; of less than 20 words more is asked (`dialogue/near_duplicates.py`)."""


def base_memory(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, settings: Pretrain
) -> Memory:
    """The base model's own dialogues, as the domain `instructions`; nothing where none are asked.

    The system turn that called them forth is not kept: they are rehearsed as people will ask. A
    reply that breaks off at `max_new_tokens` is kept as far as it goes. What holds none is dropped,
    and what asks nearly the same as one of the plain instructions, which are an exam.

    Raises:
        ValueError: nothing is left of what the model wrote.
    """
    asked, training = settings.memory, settings.training
    if asked.num_dialogues == 0:
        return Memory(empty_shard())
    encoder, writer = Encoder(tokenizer), Writing(tokenizer)
    before = writer.prompt(asked.system) if asked.system else []
    opening = encoder.openings["user"]
    samplings = [
        Sampling(
            asked.max_new_tokens,
            asked.temperature,
            asked.top_p,
            repetition_penalty=1.0,
            seed=draw_seed(training.seed, "base", INSTRUCTIONS, number),
        )
        for number in range(asked.num_dialogues)
    ]
    texts = write(
        model,
        [[*before, *opening]] * asked.num_dialogues,
        samplings,
        writer,
        choose_precision(training.precision),
        "base: what it can do",
    )
    end = encoder.end[0]
    rows, questions = [], []
    for number, text in enumerate(texts):
        if (dialogue := writer.read([*opening, *text], broken_off=True)) is not None:
            rows.append((f"written-{INSTRUCTIONS}-{number}", INSTRUCTIONS, dialogue))
            questions.append(str(tokenizer.decode(text[: text.index(end)])))
    examined = _examined(questions)
    rows = [row for number, row in enumerate(rows) if number not in examined]
    if not rows:
        raise ValueError(
            f"pretrain.memory: none of {asked.num_dialogues} dialogues that the base model wrote "
            "can be kept; where it has not learned to follow instructions, set num_dialogues: 0"
        )
    return Memory(pack(rows, len(tokenizer)), learned=(INSTRUCTIONS,))


def _examined(questions: list[str]) -> set[int]:
    """Which of them are nearly the same as a plain instruction's."""
    exam = [[dialogue.turns[0].text] for dialogue in plain_instructions()]
    own = [[question] for question in questions]
    pairs = near_pairs_between(signatures(own), signatures(exam), _SIMILARITY)
    return set(pairs.rows[:, 0].tolist())
