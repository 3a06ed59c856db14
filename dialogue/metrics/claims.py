"""Claims: what the sentences of a turn say of whom, in a form in which they can be compared.

Rules for English that read plain sentences and leave the rest alone. What is asked, supposed,
quoted or bound to a time is no claim, nor is what points at something said elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_FULL_FORMS = tuple(
    (re.compile(pattern), full)
    for pattern, full in (
        ("[‘’`´]", "'"),
        (r" ' ?(?=(?:m|s|t|re|ve|ll|d)\b)", "'"),
        (r"\bca(?:n'?t|nnot)\b", "can not"),
        (r"\bwon'?t\b", "will not"),
        (r"\bain'?t\b", "is not"),
        (r"\b(do|does|did|is|are|was|were|have|has|had|would|could|should) ?n[ ']?t\b", r"\1 not"),
        (r"\bi ?'?m\b", "i am"),
        (r"\bive\b", "i have"),
        (r"\b(he|she|it|that|there|here)'s\b", r"\1 is"),
        ("'re\\b", " are"),
        ("'ve\\b", " have"),
        ("'ll\\b", " will"),
        ("'d\\b", " would"),
        (r"\bdunno\b", "do not know"),
        (r"\bgonna\b", "going to"),
        (r"\bwanna\b", "want to"),
        (r"\b(have|has) got\b", "have"),
        (r"\bat all\b", ""),
    )
)
_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+|\n+")
_CLAUSE_END = re.compile(
    r"(?<!\d)[,:]|[,:](?!\d)|[;()]|\s[-–—]+\s"
    r"|\b(?:and|but|so|because|though|although)\b(?=\s+(?:i|you|we|my|your|our)\b)"
)
_WORD = re.compile(r"\d+(?:[.,:]\d+)*(?![^\W_])|[^\W_]+(?:'[^\W_]+)*")
_QUOTED = re.compile(r"[\"“”«»]|(?<!\w)'[^']+'(?!\w)")


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_PRONOUNS = _set("i you we")
_POSSESSIVES = _set("my your our")
_AUXILIARIES = _set("do does did am is are be was were have has had can will")
_DENIALS = _set("not never")
_ASKED = _set("i you we he she it they that this there these those the my your our his her their")
"""What follows the auxiliary of a question."""
_ASKING = _set("what why how who whom whose where when which")
_FILLERS = _set(
    "yes yeah yep yup no nope nah oh ok okay well ha haha hahaha lol hmm ah aw hey hi hello and "
    "but so because also anyway wow sorry thanks though tho too either xd"
)

_NOT_ASSERTED = _set(
    "if unless whether would could should might may must maybe perhaps possibly probably wish hope "
    "hopefully imagine suppose supposed pretend guess kidding joking "
    "thought say says said saying tell tells told heard asked called "
    "except besides almost nearly hardly barely rarely "
    "now today yesterday tomorrow tonight currently lately recently anymore longer yet still "
    "already before after ago later soon then once sometimes while until till since during last "
    "next first again used just only"
)
"""Hypotheses and hedges, what others say, exceptions, times."""

_ELSEWHERE = _ASKING | _set(
    "it that this these those them they he she him her his hers their theirs its there here such "
    "same other others another else neither nor both ones something anything nothing none"
)
"""Words that mean what stands elsewhere."""

_OPEN = _set(
    "know think see understand believe remember mind care agree disagree mean wait help worry sure "
    "certain good bad ok okay fine well ready done interested aware alone right wrong true false "
    "idea clue doubt serious surprised able going doing talking trying one do have "
    "to of in on at for from with about like as than"
)
"""Last words that leave what is meant to the other's turn."""

_FORMS = {"am": "be", "is": "be", "are": "be", "were": "was", "has": "have", "does": "do"}
_PAST = dict(
    pair.split("/")
    for pair in _set(
        "had/have went/go saw/see ate/eat drank/drink bought/buy got/get came/come made/make "
        "met/meet took/take knew/know slept/sleep felt/feel found/find wrote/write lost/lose "
        "won/win left/leave gave/give"
    )
)
_WITHOUT_WEIGHT = _set(
    "do a an really actually honestly definitely certainly personally literally simply ever"
)
_NUMBERS = {
    word: str(number)
    for number, word in enumerate(
        ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    )
}


def stem(word: str) -> str:
    """A word without the endings of its plural and its present tense; numbers in digits.

    Not a word itself: "likes" and "like" are "lik", "cities" and "city" are "citi".
    """
    word = _NUMBERS.get(word, word)
    if len(word) < 3:
        return word
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    word = word.removesuffix("e")
    return f"{word[:-1]}i" if word.endswith("y") else word


def stems(words: str) -> frozenset[str]:
    """The stems of the words of a line."""
    return frozenset(map(stem, words.split()))


_STRENGTH = stems("always often usually very so too also much many quite pretty some")
_LIKED = stems("love adore enjoy")


class Claim(NamedTuple):
    """What a clause says of whom, in stems, without denials and words without weight."""

    words: tuple[str, ...]
    weaker: tuple[str, ...]
    """What holds as well where it is affirmed: who is very tall is tall, who loves it likes it."""
    verb: int
    """Where the verb stands in both; that of "did see" is "see"."""
    denied: bool


def statements(text: str) -> Iterator[list[Claim]]:
    """The sentences of a turn that ask nothing: the claims of each, none where it is not read."""
    text = text.casefold()
    for pattern, full in _FULL_FORMS:
        text = pattern.sub(full, text)
    for sentence in _SENTENCE_END.split(text):
        if _WORD.search(sentence) and not _asks(sentence):
            yield list(_claims(sentence))


def _asks(sentence: str) -> bool:
    first, second, *_ = [*_without_fillers(_WORD.findall(sentence)), "", ""]
    inverted = first in _AUXILIARIES and second in _ASKED
    return "?" in sentence or first in _ASKING or inverted


def _claims(sentence: str) -> Iterator[Claim]:
    if _QUOTED.search(sentence) or _NOT_ASSERTED.intersection(_WORD.findall(sentence)):
        return
    for clause in _CLAUSE_END.split(sentence):
        words = _without_fillers(_WORD.findall(clause))
        end = _subject(words)
        if end and words[-1] not in _OPEN and not _ELSEWHERE.intersection(words):
            claim = _claim(words[:end], words[end:])
            if len(claim.words) > claim.verb + 1:
                yield claim


def _without_fillers(words: list[str]) -> list[str]:
    """Without the words at either end that answer or fill."""
    start, end = 0, len(words)
    while start < end and words[start] in _FILLERS:
        start += 1
    while end > start and words[end - 1] in _FILLERS:
        end -= 1
    return words[start:end]


def _subject(words: Sequence[str]) -> int:
    """How many words the subject has; 0 where it may be another one in another turn."""
    if not words or words[0] in _PRONOUNS:
        return len(words[:1])
    if words[0] not in _POSSESSIVES:
        return 0
    ends = _AUXILIARIES | _DENIALS
    return next((end for end, word in enumerate(words[:5]) if end > 1 and word in ends), 2)


def _claim(subject: Sequence[str], said: Sequence[str]) -> Claim:
    rest = [_FORMS.get(word, word) for word in said]
    rest = [word for word in rest if word not in _WITHOUT_WEIGHT]
    denial = _denial(rest)
    if denial is not None:
        del rest[denial]
        rest = [word for word in rest if word != "any"]
    rest = [stem(word) for word in _with_did(rest)]
    verb = 1 if rest[:1] == ["did"] else 0
    weaker = [word for word in rest if word not in _STRENGTH]
    if weaker[verb : verb + 1] and weaker[verb] in _LIKED:
        weaker[verb] = "lik"
    about = tuple(map(stem, subject))
    return Claim((*about, *rest), (*about, *weaker), len(about) + verb, denial is not None)


def _denial(rest: Sequence[str]) -> int | None:
    """Where the word stands that denies the verb: after the auxiliaries, or "no" after it."""
    place = next((i for i, word in enumerate(rest) if word not in _AUXILIARIES), len(rest))
    if rest[place : place + 1] and rest[place] in _DENIALS:
        return place
    return next((i for i in range(1, place + 2) if rest[i : i + 1] == ["no"]), None)


def _with_did(rest: list[str]) -> list[str]:
    """A verb in the past as "did" and the verb."""
    if not rest:
        return rest
    first = rest[0]
    if first in _PAST:
        return ["did", _PAST[first], *rest[1:]]
    if first.endswith("ed") and not first.endswith("eed"):
        return ["did", first.removesuffix("ed"), *rest[1:]]
    return rest
