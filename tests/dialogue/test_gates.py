from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from dialogue.config import Gate, Rule
from dialogue.gates import judge
from dialogue.scores import ModelRole, Score
from dialogue.statistics import Floats, resamples_needed
from dialogue.verdict import Candidate, Finding, Verdict

CANDIDATE = Candidate("support", "c" * 64, "p" * 64)
CHAMPION = "h" * 64
SEVERAL = 40


def rows(
    role: ModelRole, domain: str, metric: str, values: Sequence[float], weight: float = 1.0
) -> list[Score]:
    digest = CANDIDATE.digest if role == "candidate" else CHAMPION
    return [
        Score(role, digest, "support", domain, f"{i:04d}", metric, value, weight)
        for i, value in enumerate(values)
    ]


def noisy(mean: float, seed: int = 0, spread: float = 0.1, count: int = SEVERAL) -> list[float]:
    noise = np.random.default_rng(seed).normal(0.0, spread, count)
    return [float(value) for value in mean + noise - noise.mean()]


def rule(metric: str, kind: str, where: str = "target", **bounds: float) -> Rule:
    name = f"{kind} of {metric}"
    return Rule.model_validate(
        {"name": name, "metric": metric, "slice": where, "kind": kind, **bounds}
    )


def verdict_on(
    scores: list[Score], *rules: Rule, champion: str | None = None, **settings: Any
) -> Verdict:
    values = {"alpha": 0.05, "resamples": 1_000, "min_dialogues": 20, "seed": 3} | settings
    gate = Gate(**values, rules=rules)
    return judge(scores, gate, CANDIDATE, champion, exam_digest="e" * 64, evidence_digest="f" * 64)


def only(verdict: Verdict) -> Finding:
    (finding,) = verdict.rules
    return finding


def compared(mine: list[float], theirs: list[float], domain: str = "support") -> list[Score]:
    return rows("candidate", domain, "bits_per_byte", mine) + rows(
        "champion", domain, "bits_per_byte", theirs
    )


def test_without_a_champion_only_absolute_rules_count() -> None:
    scores = rows("candidate", "support", "hits_at_1", [1.0, 0.0] * 20)
    verdict = verdict_on(
        scores,
        rule("hits_at_1", "bound", min=0.4),
        rule("hits_at_1", "superiority"),
        rule("hits_at_1", "suspicion", margin=0.5),
    )
    assert verdict.verdict == "PROMOTE"
    assert "passes its one absolute rule; there is no champion yet" in verdict.sentence
    assert [finding.state for finding in verdict.rules] == ["passed", "not counted", "not counted"]
    assert [f["passed"] for f in verdict.to_json()["rules"]] == [True, None, None]
    assert verdict.metrics == {"support": {"hits_at_1": 0.5}}


def test_nothing_that_counts_promotes_nobody() -> None:
    scores = rows("candidate", "support", "hits_at_1", [1.0] * SEVERAL)
    verdict = verdict_on(scores, rule("hits_at_1", "superiority"))
    assert verdict.verdict == "INCONCLUSIVE"
    assert "no rule counted" in verdict.sentence


def test_a_broken_bound_names_domain_number_and_bound() -> None:
    scores = rows("candidate", "support", "hits_at_1", [1.0, 0.0, 0.0, 0.0] * 10)
    verdict = verdict_on(scores, rule("hits_at_1", "bound", "each", min=0.3))
    assert verdict.sentence == ("REJECT: support has hits_at_1 0.25; at least 0.3 is asked.")
    finding = only(verdict)
    assert (finding.value, finding.bound, finding.p_value) == (0.25, 0.3, None)
    assert finding.interval is not None
    assert finding.interval[0] < 0.25 < finding.interval[1]


def test_a_rule_with_two_bounds_is_two_rules() -> None:
    scores = rows("candidate", "support", "hits_at_1", [0.5] * SEVERAL)
    verdict = verdict_on(scores, rule("hits_at_1", "bound", min=0.1, max=0.4))
    assert [(f.bound, f.state) for f in verdict.rules] == [(0.1, "passed"), (0.4, "failed")]


def test_a_gain_must_be_shown_by_its_interval() -> None:
    gain = rule("gain_over_base", "bound", min=0.0)
    sure = verdict_on(rows("candidate", "support", "gain_over_base", noisy(0.2)), gain)
    assert (sure.verdict, only(sure).state) == ("PROMOTE", "passed")
    gains = noisy(0.01)
    thin = verdict_on(rows("candidate", "support", "gain_over_base", gains), gain)
    assert thin.verdict == "INCONCLUSIVE"
    # (z of 95 % + z of 80 %) × spread / distance, squared.
    assert only(thin).needed == pytest.approx((2.486 * np.std(gains) / 0.01) ** 2, rel=0.15)
    assert "dialogues would decide it" in thin.sentence
    loss = verdict_on(rows("candidate", "support", "gain_over_base", noisy(-0.01)), gain)
    assert loss.verdict == "REJECT"


def test_a_gain_may_be_bounded_from_above() -> None:
    scores = rows("candidate", "support", "gain_over_base", noisy(0.2))
    below = verdict_on(scores, rule("gain_over_base", "bound", max=0.4))
    assert only(below).state == "passed"
    assert verdict_on(scores, rule("gain_over_base", "bound", max=0.19)).verdict == "REJECT"
    assert verdict_on(scores, rule("gain_over_base", "bound", max=0.201)).verdict == "INCONCLUSIVE"


def test_better_than_the_champion_on_the_same_dialogues() -> None:
    # The dialogues differ widely, the paired difference hardly: pairing is what finds it.
    theirs = noisy(1.0, spread=0.5)
    mine = [value - 0.05 + 0.01 * (-1) ** i for i, value in enumerate(theirs)]
    verdict = verdict_on(
        compared(mine, theirs), rule("bits_per_byte", "superiority"), champion=CHAMPION
    )
    finding = only(verdict)
    assert finding.change == pytest.approx(0.05)
    assert finding.change_interval == pytest.approx((0.05, 0.05), abs=0.02)
    assert (finding.champion_value, finding.bound) == (pytest.approx(1.0), pytest.approx(1.0))
    assert verdict.sentence == (
        "PROMOTE: support is 5.0% better than the champion in bits_per_byte (0.95 against 1)."
    )


def test_no_better_than_the_champion() -> None:
    same = noisy(1.0)
    superior = rule("bits_per_byte", "superiority")
    equal = verdict_on(compared(same, same), superior, champion=CHAMPION)
    assert equal.verdict == "REJECT"
    assert "no better and no worse" in equal.sentence
    by_luck = verdict_on(compared(noisy(0.99, 1), noisy(1.0, 2)), superior, champion=CHAMPION)
    assert by_luck.verdict == "INCONCLUSIVE"
    assert "chance may explain" in by_luck.sentence


def test_forgetting_is_named_with_its_amount() -> None:
    scores = compared(noisy(0.8, 1), noisy(1.0, 2)) + compared(
        noisy(1.10, 3, 0.01), noisy(1.0, 4, 0.01), "chitchat"
    )
    verdict = verdict_on(
        scores,
        rule("bits_per_byte", "superiority"),
        rule("bits_per_byte", "non_inferiority", "earlier", margin=0.03),
        champion=CHAMPION,
    )
    assert verdict.sentence == (
        "REJECT: chitchat is 10.0% worse than the champion in bits_per_byte (1.1 against 1); "
        "at most 3.0% worse is allowed."
    )
    assert verdict.rules[1].bound == pytest.approx(1.03)


def test_a_small_loss_within_the_margin_is_allowed_when_it_is_sure() -> None:
    kept = rule("bits_per_byte", "non_inferiority", "chitchat", margin=0.03)
    sure = compared(noisy(1.01, 3, 0.01), noisy(1.0, 4, 0.01), "chitchat")
    assert verdict_on(sure, kept, champion=CHAMPION).verdict == "PROMOTE"
    vague = compared(noisy(1.02, 3, 0.1), noisy(1.0, 4, 0.1), "chitchat")
    verdict = verdict_on(vague, kept, champion=CHAMPION)
    assert verdict.verdict == "INCONCLUSIVE"
    assert only(verdict).needed is not None


def test_the_praise_names_the_gain_and_the_worst_of_what_was_kept() -> None:
    scores = (
        compared(noisy(0.8, 1, 0.01), noisy(1.0, 2, 0.01))
        + compared(noisy(1.01, 3, 0.01), noisy(1.0, 4, 0.01), "chitchat")
        + compared(noisy(0.99, 3, 0.01), noisy(1.0, 4, 0.01), "base")
    )
    verdict = verdict_on(
        scores,
        rule("bits_per_byte", "superiority"),
        rule("bits_per_byte", "non_inferiority", "earlier", margin=0.03),
        champion=CHAMPION,
    )
    assert verdict.verdict == "PROMOTE"
    assert "support is 20.0% better" in verdict.sentence
    assert "of the domains to keep, chitchat is 1.0% worse" in verdict.sentence


def test_too_good_to_be_true() -> None:
    alarm = rule("bits_per_byte", "suspicion", margin=0.5)
    leaked = verdict_on(compared(noisy(0.3), noisy(1.0)), alarm, champion=CHAMPION)
    assert leaked.verdict == "REJECT"
    assert "70.0% better" in leaked.sentence
    assert "look for a leak" in leaked.sentence
    honest = verdict_on(compared(noisy(0.6), noisy(1.0)), alarm, champion=CHAMPION)
    assert honest.verdict == "PROMOTE"


def test_what_is_missing_or_nan_fails() -> None:
    other = rows("candidate", "support", "mrr", [1.0] * SEVERAL)
    bound = rule("hits_at_1", "bound", min=0.1)
    assert verdict_on(other, bound).sentence == (
        "REJECT: support: the candidate has no hits_at_1, and what is missing fails."
    )
    broken = other + rows("candidate", "support", "hits_at_1", [1.0, float("nan")] * 20)
    verdict = verdict_on(broken, bound)
    assert verdict.verdict == "REJECT"
    json.dumps(verdict.to_json(), allow_nan=False)


def test_a_target_without_any_score_fails() -> None:
    verdict = verdict_on(
        rows("candidate", "chitchat", "hits_at_1", [1.0] * SEVERAL),
        rule("hits_at_1", "bound", "each", min=0.1),
    )
    assert [(f.slice, f.state) for f in verdict.rules] == [
        ("chitchat", "passed"),
        ("support", "failed"),
    ]


def test_a_champion_without_scores_or_on_other_dialogues_fails() -> None:
    mine = rows("candidate", "support", "bits_per_byte", noisy(0.5))
    superior = rule("bits_per_byte", "superiority")
    absent = verdict_on(mine, superior, champion=CHAMPION)
    assert "the champion has no bits_per_byte" in absent.sentence
    fewer = mine + rows("champion", "support", "bits_per_byte", noisy(1.0)[:-1])
    assert "of different dialogues" in verdict_on(fewer, superior, champion=CHAMPION).sentence


def test_twelve_dialogues_decide_nothing() -> None:
    few = compared(noisy(0.1, count=12), noisy(1.0, count=12))
    verdict = verdict_on(
        few,
        rule("bits_per_byte", "superiority"),
        rule("bits_per_byte", "bound", max=0.05),
        champion=CHAMPION,
    )
    assert verdict.verdict == "INCONCLUSIVE"
    assert "support has 12 of the 20 dialogues" in verdict.sentence
    assert "about 20 dialogues would decide it" in verdict.sentence


def test_twelve_dialogues_with_a_small_gain_need_what_the_power_check_says() -> None:
    few = compared(noisy(0.99, 1, count=12), noisy(1.0, 2, count=12))
    finding = only(verdict_on(few, rule("bits_per_byte", "superiority"), champion=CHAMPION))
    assert finding.reason == "support has 12 of the 20 dialogues that bits_per_byte needs"
    assert finding.needed is not None
    assert finding.needed > 200


def test_so_many_dialogues_as_are_named_decide_it() -> None:
    """Three domains that are undecided together, held to α together."""
    domains = ("chitchat", "travel", "support")
    gain = rule("gain_over_base", "bound", "each", min=0.0)

    def scores(gains: Floats) -> list[Score]:
        return [
            score
            for domain, its in zip(domains, gains.tolist(), strict=True)
            for score in rows("candidate", domain, "gain_over_base", its)
        ]

    typical = 0.3 + stats.norm.ppf((np.arange(SEVERAL) + 0.5) / SEVERAL)
    first = verdict_on(scores(np.tile(typical, (3, 1))), gain)
    assert {finding.state for finding in first.rules} == {"undecided"}
    needed = max(finding.needed or 0 for finding in first.rules)
    assert f"about {needed} dialogues would decide it" in first.sentence
    decided = sum(
        verdict_on(scores(draw), gain).verdict == "PROMOTE"
        for draw in np.random.default_rng(1).normal(0.3, 1.0, (100, 3, needed))
    )
    assert 72 <= decided <= 98, "80 of 100 at least, less two standard errors"


def test_a_single_reply_rejects_nobody() -> None:
    scores = rows("candidate", "support", "bits_per_byte", noisy(1.0)) + rows(
        "candidate", "support", "repetition", [0.9]
    )
    verdict = verdict_on(scores, rule("repetition", "bound", max=0.3))
    assert verdict.sentence == (
        "INCONCLUSIVE: support has 1 of the 20 replies that repetition needs; "
        "about 20 replies would decide it."
    )


def test_a_rejection_names_first_what_was_forgotten_most() -> None:
    scores = [
        *rows("candidate", "support", "hits_at_1", [0.0] * SEVERAL),
        *compared(noisy(1.04, seed=1), noisy(1.0, seed=1), "chitchat"),
        *compared(noisy(1.10, seed=1), noisy(1.0, seed=1), "travel"),
        *compared(noisy(0.90, seed=1), noisy(1.0, seed=1)),
    ]
    picks = rule("hits_at_1", "bound", min=0.5)
    keeps = rule("bits_per_byte", "non_inferiority", "earlier", margin=0.02)
    verdict = verdict_on(scores, picks, keeps, champion=CHAMPION)
    assert verdict.sentence.startswith("REJECT: travel is 10.0% worse than the champion")
    assert verdict.sentence.endswith(
        "is allowed; chitchat is 4.0% worse (and 1 more rule: see the table)."
    )


def test_what_twelve_dialogues_cannot_have_decides_nothing() -> None:
    few = rows("candidate", "support", "bits_per_byte", noisy(1.0, count=12))
    verdict = verdict_on(few, rule("next_turn", "bound", min=0.6))
    assert verdict.verdict == "INCONCLUSIVE"
    assert only(verdict).reason == "support has 12 of the 20 dialogues that next_turn needs"
    silent = verdict_on(few, rule("repetition", "bound", max=0.3)).sentence
    assert silent.endswith("that repetition needs; about 20 dialogues would decide it.")


def read(role: ModelRole, metric: str, value: float, weights: Sequence[float]) -> list[Score]:
    each = rows(role, "support", metric, [value] * len(weights))
    return [replace(score, weight=weight) for score, weight in zip(each, weights, strict=True)]


@pytest.mark.parametrize(
    ("num_bytes", "num_tokens", "state", "reason"),
    [
        (30.0, 12.0, "passed", "support is 20.0% better"),
        (30.0, 9.0, "passed", "support is 20.0% better"),
        (24.0, 9.0, "failed", "support: candidate and champion read other parts of the dialogues"),
    ],
    ids=["one tokenizer", "another that cuts nothing", "another that cuts elsewhere"],
)
def test_only_what_both_have_read_is_compared(
    num_bytes: float, num_tokens: float, state: str, reason: str
) -> None:
    scores = [
        *read("candidate", "bits_per_byte", 24.0, [30.0] * SEVERAL),
        *read("candidate", "response_perplexity", 24.0, [12.0] * SEVERAL),
        *read("champion", "bits_per_byte", num_bytes, [num_bytes] * SEVERAL),
        *read("champion", "response_perplexity", 30.0, [num_tokens] * SEVERAL),
        *rows("candidate", "support", "history_gain", noisy(2.0)),
        *rows("champion", "support", "history_gain", noisy(2.0)),
    ]
    better = rule("bits_per_byte", "superiority")
    heeds = rule("history_gain", "non_inferiority", margin=0.1)
    first, second = verdict_on(scores, better, heeds, champion=CHAMPION).rules
    assert first.state == state
    assert first.reason.startswith(reason)
    assert (second.state == "passed") == (num_tokens == 12.0)
    if num_bytes == 30.0 and num_tokens == 9.0:
        assert second.reason.startswith("support: history_gain is per token, and the tokenizers")


@pytest.mark.parametrize(("telling", "state"), [(19, "undecided"), (20, "passed")])
def test_what_weighs_nothing_is_no_evidence(telling: int, state: str) -> None:
    weights = [1.0] * telling + [0.0] * 10
    scores = (
        read("candidate", "novel_ngrams", 1.0, weights[:telling])
        + read("candidate", "novel_ngrams", 0.0, weights)[telling:]
    )
    finding = only(verdict_on(scores, rule("novel_ngrams", "bound", min=0.5)))
    assert (finding.state, finding.count) == (state, telling)


def test_a_failure_outweighs_what_is_undecided() -> None:
    scores = compared(noisy(0.1, count=12), noisy(1.0, count=12)) + rows(
        "candidate", "chitchat", "hits_at_1", [0.0] * SEVERAL
    )
    verdict = verdict_on(
        scores,
        rule("bits_per_byte", "superiority"),
        rule("hits_at_1", "bound", "chitchat", min=0.2),
        champion=CHAMPION,
    )
    assert verdict.verdict == "REJECT"


def test_general_ability_is_kept_where_the_metric_knows_plain_text() -> None:
    scores = (
        compared(noisy(0.8, 1), noisy(1.0, 2))
        + compared(noisy(1.0, 1), noisy(1.0, 2), "chitchat")
        + compared(noisy(1.0, 1), noisy(1.0, 2), "base")
        + compared(noisy(1.0, 1), noisy(1.0, 2), "instructions")
    )
    kept = rule("bits_per_byte", "non_inferiority", "earlier", margin=0.9)
    found = verdict_on(scores, kept, champion=CHAMPION).rules
    assert [finding.slice for finding in found] == ["chitchat", "base", "instructions"]
    chosen = rule("hits_at_1", "bound", "earlier", min=0.0)
    assert [f.slice for f in verdict_on(scores, chosen, champion=CHAMPION).rules] == ["chitchat"]
    each = rule("bits_per_byte", "bound", "each", max=2.0)
    found = verdict_on(scores, each, champion=CHAMPION).rules
    assert [finding.slice for finding in found] == ["chitchat", "support"]


def test_a_model_that_follows_instructions_worse_is_rejected_in_a_readable_sentence() -> None:
    scores = compared(noisy(0.8, 1), noisy(1.0, 2)) + compared(
        [1.03] * SEVERAL, [1.0] * SEVERAL, "instructions"
    )
    rules = (
        rule("bits_per_byte", "superiority"),
        rule("bits_per_byte", "non_inferiority", "earlier", margin=0.02),
        rule("next_turn", "bound", "earlier", min=0.6),
    )
    verdict = verdict_on(scores, *rules, champion=CHAMPION)
    assert verdict.verdict == "REJECT"
    assert verdict.sentence.startswith(
        "REJECT: instructions is 3.0% worse than the champion in bits_per_byte (1.03 against 1)"
    )
    alone = [score for score in scores if score.model_role == "candidate"]
    assert verdict_on(alone, rules[1]).verdict == "INCONCLUSIVE"


def test_a_champion_at_zero_makes_every_difference_infinite() -> None:
    nothing = rows("champion", "support", "repetition", [0.0] * SEVERAL)
    kept = rule("repetition", "non_inferiority", margin=0.5)
    worse = rows("candidate", "support", "repetition", [0.1] * SEVERAL) + nothing
    verdict = verdict_on(worse, kept, champion=CHAMPION)
    assert verdict.verdict == "REJECT"
    assert "support is worse than the champion in repetition (0.1 against 0)" in verdict.sentence
    json.dumps(verdict.to_json(), allow_nan=False)
    both = worse + [
        replace(score, domain="chitchat") for score in worse if score.metric == "repetition"
    ]
    kept_by_each = rule("repetition", "non_inferiority", "each", margin=0.5)
    sentence = verdict_on(both, kept_by_each, champion=CHAMPION).sentence
    assert sentence.endswith("; support is worse.")
    equal = rows("candidate", "support", "repetition", [0.0] * SEVERAL) + nothing
    assert verdict_on(equal, kept, champion=CHAMPION).verdict == "PROMOTE"


def test_holm_counts_every_test_and_nothing_else() -> None:
    scores = compared(noisy(0.97, 1), noisy(1.0, 2)) + compared(
        noisy(0.9, 3, 0.01), noisy(1.0, 4, 0.01), "chitchat"
    )
    superior = rule("bits_per_byte", "superiority", "each")
    verdict = verdict_on(
        scores, superior, rule("bits_per_byte", "bound", max=2.0), champion=CHAMPION
    )
    sure, unsure, bound = verdict.rules
    assert bound.p_value is None
    assert sure.p_value is not None
    assert unsure.p_value is not None
    assert sure.adjusted_p_value == pytest.approx(2 * sure.p_value)
    assert unsure.adjusted_p_value == pytest.approx(unsure.p_value)


def test_each_of_two_looks_has_half_of_alpha() -> None:
    better = compared(noisy(0.966, seed=1), noisy(1.0, seed=2))
    once = judge_looks(better, look=1, looks=1)
    p_value = only(once).adjusted_p_value
    assert p_value is not None
    assert 0.025 < p_value < 0.05, "the case must lie between half of alpha and alpha"
    assert once.verdict == "PROMOTE"
    for look in (1, 2):
        twice = judge_looks(better, look=look, looks=2)
        assert (twice.verdict, twice.look, twice.alpha) == ("INCONCLUSIVE", look, 0.025)


def judge_looks(scores: list[Score], look: int, looks: int) -> Verdict:
    gate = Gate(
        alpha=0.05,
        resamples=1_000,
        min_dialogues=20,
        seed=3,
        rules=(rule("bits_per_byte", "superiority"),),
    )
    return judge(
        scores,
        gate,
        CANDIDATE,
        CHAMPION,
        exam_digest="",
        evidence_digest="",
        look=look,
        looks=looks,
    )


def test_many_rules_on_few_dialogues_do_not_make_a_promotion_impossible() -> None:
    """Holm asks the first of many tests for a p-value that few resamples could not show."""
    domains = ["support", *(f"domain {number}" for number in range(20))]
    scores = [
        score
        for domain in domains
        for score in compared(noisy(0.5, seed=1, count=20), noisy(1.0, seed=2, count=20), domain)
    ]
    strict = rule("bits_per_byte", "non_inferiority", "each", margin=0.02)
    verdict = verdict_on(scores, strict, champion=CHAMPION, resamples=100)
    assert resamples_needed(0.05 / len(domains), 20) > 100, "100 resamples must be too few"
    assert verdict.verdict == "PROMOTE"


def test_what_is_undecided_takes_more_dialogues_than_there_are() -> None:
    wide = compared(noisy(0.96, seed=1, spread=0.2), noisy(1.0, seed=2, spread=0.2))
    finding = only(verdict_on(wide, rule("bits_per_byte", "superiority"), champion=CHAMPION))
    assert finding.state == "undecided"
    assert finding.needed is not None
    assert finding.needed > SEVERAL


def test_rules_that_cannot_be_meant_are_refused() -> None:
    scores = rows("candidate", "support", "hits_at_1", [1.0] * SEVERAL)
    with pytest.raises(
        ValueError, match=r"`bound of charm` names the unknown metric `charm`; .*mrr"
    ):
        verdict_on(scores, rule("charm", "bound", min=0.0))
    with pytest.raises(ValueError, match="unknown slice `poetry`; use each, target, earlier or"):
        verdict_on(scores, rule("mrr", "bound", "poetry", min=0.0))
    empty = Gate.model_construct(alpha=0.05, resamples=100, min_dialogues=2, seed=0, rules=())
    with pytest.raises(ValueError, match="no rules"):
        judge(scores, empty, CANDIDATE, None, exam_digest="", evidence_digest="")


def test_scores_of_another_model_are_refused() -> None:
    scores = compared(noisy(1.0), noisy(1.0))
    with pytest.raises(ValueError, match=r"the scores' champion is hhh.*, not absent"):
        verdict_on(scores, rule("bits_per_byte", "bound", max=2.0))
    with pytest.raises(ValueError, match=r"the scores' champion is hhh.*, not xyz"):
        verdict_on(scores, rule("bits_per_byte", "bound", max=2.0), champion="xyz")


def test_the_verdict_is_a_function_of_the_scores() -> None:
    scores = compared(noisy(0.97, 1), noisy(1.0, 2))
    superior = rule("bits_per_byte", "superiority")
    first = verdict_on(scores, superior, champion=CHAMPION)
    again = verdict_on(scores[::-1], superior, champion=CHAMPION)
    assert first == again
    assert "| superiority of bits_per_byte | support |" in first.to_markdown()
