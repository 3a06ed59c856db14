"""The ChatterBot corpus: YAML files of short conversations by topic."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

import yaml

from dialogue.records import Reject
from dialogue.sources.draft import Draft, set_aside
from dialogue.sources.formats.lines import too_large, whole_text
from dialogue.sources.reading import Reading

_NULL = "tag:yaml.org,2002:null"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_chatterbot(name: str, stream: IO[bytes], reading: Reading) -> Iterator[Draft | Reject]:
    """`conversations:` a list of lists: question, answer, and on in turns.

    Nodes are read rather than values: a number or a `yes` keeps its spelling, and the origin its
    line. The question decides the split, for the corpus answers many a question several ways.

    Raises:
        ValueError: the file is not YAML, or has no conversations.
    """
    text = whole_text(name, stream)
    for node in _conversations(name, text):
        origin = f"{name}:{node.start_mark.line + 1}"
        excerpt = text[node.start_mark.index : node.end_mark.index]
        if len(excerpt) > reading.max_row_bytes:
            yield too_large(origin, reading.max_row_bytes, excerpt)
        elif not isinstance(node, yaml.SequenceNode):
            yield set_aside(origin, "not a list: expected question and answer", excerpt)
        elif not all(isinstance(item, yaml.ScalarNode) for item in node.value):
            yield set_aside(origin, "nested: a conversation holds texts only", excerpt)
        else:
            texts = ["" if item.tag == _NULL else item.value for item in node.value]
            roles = ("user" if index % 2 == 0 else "assistant" for index in range(len(texts)))
            turns = list(zip(roles, texts, strict=False))
            yield Draft(origin, turns, split_key=_words(texts[0]) if texts else None)


def _conversations(name: str, text: str) -> list[yaml.Node]:
    try:
        root = yaml.compose(text, Loader=_LOADER)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{name}:{mark.line + 1}" if mark else name
        problem = getattr(error, "problem", None) or " ".join(str(error).split())
        raise ValueError(f"{where}: not valid YAML: {problem}") from error
    if isinstance(root, yaml.MappingNode):
        for key, value in root.value:
            if key.value == "conversations" and isinstance(value, yaml.SequenceNode):
                return list(value.value)
    raise ValueError(f"{name}: no list `conversations:`; is it a ChatterBot corpus file?")


def _words(text: str) -> str:
    """The text without case, punctuation and spacing."""
    return "".join(filter(str.isalnum, text.casefold()))
