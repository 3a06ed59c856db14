"""The registry of metrics: what each one is called, measures, and whether more of it is better.

Every score is a pair (value, weight) of one model on one dialogue; a metric over many dialogues is
its `aggregate` of Σvalue / Σweight, so that a resample of dialogues needs no rescoring.
docs/metrics.md has a section on each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

Better = Literal["lower", "higher"]
Aggregate = Literal["ratio", "exponential"]
Evidence = Literal["estimate", "interval"]
Of = Literal["dialogues", "replies", "conversations"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. `value` and `weight` say what a single dialogue contributes."""

    name: str
    family: Literal["likelihood", "relevance", "coherence", "novelty", "labels"]
    definition: str
    value: str
    weight: str
    source: str
    better: Better
    unit: str
    aggregate: Aggregate = "ratio"
    plain_text: bool = False
    """Defined for plain text too: what general ability is held to (`GENERAL` of `exam`)."""
    of: Of = "dialogues"
    """What is counted. Replies and conversations the model writes: as many as `evaluate` asks for,
    however many dialogues there are."""
    evidence: Evidence = "estimate"
    """What a `bound` rule holds against its bound: the estimate, or the interval's near end."""

    def __call__(self, value: Floats, weight: Floats) -> Floats:
        """The metric from sums of values and weights [...]; NaN where the weights sum to 0."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            ratio = np.where(weight > 0, np.divide(value, weight), np.nan)
            return np.exp(ratio) if self.aggregate == "exponential" else ratio

    @property
    def sign(self) -> int:
        """+1 where more is better, -1 where less is."""
        return 1 if self.better == "higher" else -1


_METRICS = (
    Metric(
        name="response_perplexity",
        family="likelihood",
        definition="exponential of the mean negative log-likelihood of a response token",
        value="nats over all responses and their ends, each given the true history",
        weight="response tokens, ends included",
        source="Jelinek et al. 1977; per response as in Serban et al. 2016 (HRED)",
        better="lower",
        unit="per token",
        aggregate="exponential",
    ),
    Metric(
        name="bits_per_byte",
        family="likelihood",
        definition="negative log2-likelihood of the responses per UTF-8 byte of their text",
        value="bits over all responses and their ends",
        weight="UTF-8 bytes of the responses",
        source="Gao et al. 2020 (The Pile), section 3.1",
        better="lower",
        unit="bits/byte",
        plain_text=True,
    ),
    Metric(
        name="gain_over_base",
        family="likelihood",
        definition="bits per byte of the base model minus those of this model",
        value="the base model's bits minus this model's, on the same responses",
        weight="UTF-8 bytes of the responses",
        source="paired difference of bits per byte",
        better="higher",
        unit="bits/byte",
        evidence="interval",
    ),
    Metric(
        name="hits_at_1",
        family="relevance",
        definition="how often the true last response begins likelier, per token, than all of "
        "its distractors",
        value="1 if it is, 0 if not",
        weight="1",
        source="Zhang et al. 2018 (Persona-Chat), hits@1; Lowe et al. 2015, recall@1",
        better="higher",
        unit="share",
    ),
    Metric(
        name="mrr",
        family="relevance",
        definition="mean reciprocal rank of the true last response among its distractors",
        value="1 / rank, ties counted against the model",
        weight="1",
        source="Voorhees 1999 (TREC-8)",
        better="higher",
        unit="share",
    ),
    Metric(
        name="history_gain",
        family="relevance",
        definition="log-likelihood per token of the last response with its history minus without",
        value="mean over the response's tokens of the difference, in nats",
        weight="1",
        source="conditional pointwise mutual information: Li et al. 2016 (MMI), equation 3",
        better="higher",
        unit="nats/token",
        evidence="interval",
    ),
    Metric(
        name="history_gain_over_wrong",
        family="relevance",
        definition="log-likelihood per token of the last response with its history minus with "
        "histories of other dialogues",
        value="difference over the first tokens, in nats; the mean over wrong histories",
        weight="1",
        source="conditional pointwise mutual information with a sampled marginal: Li et al. "
        "2016, equation 3",
        better="higher",
        unit="nats/token",
        evidence="interval",
    ),
    Metric(
        name="history_gain_1",
        family="relevance",
        definition="log-likelihood per token of the last response that the last turn adds",
        value="mean over the response's tokens of the difference to no history, in nats",
        weight="1",
        source="Khandelwal et al. 2018, context by its distance; Sankar et al. 2019",
        better="higher",
        unit="nats/token",
        evidence="interval",
    ),
    Metric(
        name="history_gain_2",
        family="relevance",
        definition="log-likelihood per token of the last response that the turn before the last "
        "adds",
        value="mean over the response's tokens of the difference to the last turn alone, in nats",
        weight="1",
        source="Khandelwal et al. 2018, context by its distance; Sankar et al. 2019",
        better="higher",
        unit="nats/token",
        evidence="interval",
    ),
    Metric(
        name="history_gain_4",
        family="relevance",
        definition="log-likelihood per token of the last response that the third and fourth turn "
        "before it adds",
        value="mean over the response's tokens of the difference to the last two turns alone, in "
        "nats",
        weight="1",
        source="Khandelwal et al. 2018, context by its distance; Sankar et al. 2019",
        better="higher",
        unit="nats/token",
        evidence="interval",
    ),
    Metric(
        name="history_gain_older",
        family="relevance",
        definition="log-likelihood per token of the last response that all turns before the last "
        "four adds",
        value="mean over the response's tokens of the difference to the last four turns alone, "
        "in nats",
        weight="1",
        source="Khandelwal et al. 2018, context by its distance; Sankar et al. 2019",
        better="higher",
        unit="nats/token",
        evidence="interval",
    ),
    Metric(
        name="embedding_similarity",
        family="relevance",
        definition="cosine of sentence embeddings between the generated and the true last response",
        value="the cosine",
        weight="1",
        source="Reimers and Gurevych 2019 (Sentence-BERT); Liu et al. 2016, embedding metrics",
        better="higher",
        unit="cosine",
        of="replies",
    ),
    Metric(
        name="order_gap",
        family="coherence",
        definition="log-likelihood per token of the last response after its history minus after "
        "the same history with its latest turns shuffled",
        value="mean over the response's tokens of the difference, in nats",
        weight="1",
        source="Sankar et al. 2019, shuffled turns",
        better="higher",
        unit="nats/token",
        evidence="interval",
    ),
    Metric(
        name="next_turn",
        family="coherence",
        definition="how often the history raises the true next turn more than a turn of another "
        "dialogue",
        value="share of the random distractors whose log-likelihood per token it raises less",
        weight="1",
        source="Lowe et al. 2015, next utterance among others; Holtzman et al. 2021, PMI against "
        "frequency",
        better="higher",
        unit="share",
    ),
    Metric(
        name="self_repetition",
        family="coherence",
        definition="share of the word pairs of the model's turns in a conversation that an "
        "earlier one of them has",
        value="word pairs that an earlier turn of the model has",
        weight="word pairs of its turns but the first",
        source="See et al. 2019, external repetition of bigrams",
        better="lower",
        unit="share",
        of="conversations",
    ),
    Metric(
        name="self_contradiction",
        family="coherence",
        definition="share of the model's statements in a conversation that contradict an earlier "
        "one of it",
        value="statements that contradict one of an earlier turn of the model",
        weight="statements of its turns but the first",
        source="de Marneffe et al. 2008: negation, antonyms, numbers; by rules, for English",
        better="lower",
        unit="share",
        of="conversations",
    ),
    Metric(
        name="distinct_1",
        family="novelty",
        definition="distinct words over all words of the generated replies to one exam",
        value="words that no reply before this one has used",
        weight="words of the reply",
        source="Li et al. 2016 (MMI), distinct-1",
        better="higher",
        unit="share",
        of="replies",
    ),
    Metric(
        name="distinct_2",
        family="novelty",
        definition="distinct word pairs over all word pairs of the generated replies to one exam",
        value="word pairs that no reply before this one has used",
        weight="word pairs of the reply",
        source="Li et al. 2016 (MMI), distinct-2",
        better="higher",
        unit="share",
        of="replies",
    ),
    Metric(
        name="distinct_3",
        family="novelty",
        definition="distinct word triples over all word triples of the generated replies to one "
        "exam",
        value="word triples that no reply before this one has used",
        weight="word triples of the reply",
        source="Li et al. 2016 (MMI), distinct-n",
        better="higher",
        unit="share",
        of="replies",
    ),
    Metric(
        name="mtld",
        family="novelty",
        definition="mean length of the runs of words that keep a type-token ratio above 0.72, "
        "over the generated replies to one exam",
        value="words of the reply",
        weight="factors, of both directions their mean, that end in the reply",
        source="McCarthy and Jarvis 2010",
        better="higher",
        unit="words",
        of="replies",
    ),
    Metric(
        name="novel_ngrams",
        family="novelty",
        definition="share of the word 4-grams of the generated replies that no training dialogue "
        "of the lessons so far contains",
        value="4-grams of the reply not in the training dialogues",
        weight="4-grams of the reply",
        source="McCoy et al. 2023 (RAVEN), n-gram novelty",
        better="higher",
        unit="share",
        of="replies",
    ),
    Metric(
        name="longest_copy",
        family="novelty",
        definition="longest run of words of a generated reply that a training dialogue contains, "
        "over its words",
        value="words of the longest run, 0 below four",
        weight="words of the reply",
        source="McCoy et al. 2023 (RAVEN), longest copied n-grams",
        better="lower",
        unit="share",
        of="replies",
    ),
    Metric(
        name="repetition",
        family="novelty",
        definition="share of a generated reply's word 4-grams that repeat an earlier one of it",
        value="1 - distinct 4-grams / 4-grams; 0 for replies under four words",
        weight="1",
        source="Welleck et al. 2020, seq-rep-4",
        better="lower",
        unit="share",
        of="replies",
    ),
    Metric(
        name="accuracy",
        family="labels",
        definition="how often the true label is the likeliest of all labels",
        value="1 if it is, 0 if not",
        weight="1",
        source="label scoring: Trinh and Le 2018; Brown et al. 2020, section 2.4",
        better="higher",
        unit="share",
    ),
    Metric(
        name="macro_f1",
        family="labels",
        definition="mean over the labels of F1 of the likeliest label",
        value="macro-F1 plus the influence of this dialogue on it",
        weight="1",
        source="van Rijsbergen 1979; Efron 1982, chapter 6",
        better="higher",
        unit="share",
    ),
)

METRICS: dict[str, Metric] = {metric.name: metric for metric in _METRICS}
