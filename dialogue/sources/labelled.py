"""Other tasks as dialogues: the text and a question are asked, the label is the answer.

So one model learns chat and labelled tasks in one curriculum, as in LAMOL (Sun, Ho and Lee 2020,
"LAMOL: LAnguage MOdeling for Lifelong Language Learning", ICLR).
"""

from __future__ import annotations

from collections.abc import Iterable

from dialogue.sources.draft import Draft
from dialogue.sources.reading import Reading

NO_ENTITY = "none"


def labelled_draft(
    origin: str,
    text: str,
    label: str,
    reading: Reading,
    *,
    split_key: str | None = None,
    given_id: str | None = None,
) -> Draft:
    """`user`: the text, a line break, the question; `assistant`: the label.

    Raises:
        ValueError: the text or the label is blank.
    """
    assert reading.question is not None, "every labelled format needs it"
    if not text.strip():
        raise ValueError("no text: it is blank")
    if not label.strip():
        raise ValueError("no label: it is blank")
    turns = [("user", f"{text.strip()}\n{reading.question}"), ("assistant", label)]
    return Draft(origin, turns, split_key=split_key, label=label.strip(), given_id=given_id)


def entities_label(entities: Iterable[tuple[str, str]], reading: Reading) -> str:
    """(kind, words) pairs as one label, `kind: words; kind: words`; `none` where there are none.

    Raises:
        ValueError: labels are named, but not one of these kinds.
    """
    told = [f"{reading.label(kind)}: {words}" for kind, words in entities]
    if told:
        return "; ".join(told)
    # `none` is ours, not the file's: it may be renamed, and need not be.
    return (reading.labels or {}).get(NO_ENTITY, NO_ENTITY)
