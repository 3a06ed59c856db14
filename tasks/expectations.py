"""The door to Great Expectations: what dialogues must be like, as suites, and their Data Docs."""

from __future__ import annotations

import html
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dialogue.config import DataRule, RuleName, Validate
from dialogue.facts import DAMAGES, REQUIRED
from dialogue.records import SCHEMA

if TYPE_CHECKING:
    import pandas as pd

Action = Literal["stop", "warn"]

MEANINGS: dict[RuleName, str] = {
    "num_dialogues": "{} dialogues",
    "num_test_dialogues": "{} dialogues in the test split",
    "rejected_share": "{} of the rows set aside as faulty",
    "duplicate_share": "{} of the rows set aside as exact duplicates",
    "near_duplicate_share": "{} of the dialogues with a near-duplicate in the domain",
    "straddling_dialogues": "{} dialogues that nearly repeat one of another split",
    "leaked_dialogues": "{} dialogues held out in one domain and trained on in another",
    "language_share": "{} of the sample in the expected language",
    "abusive_share": "{} of the sample abusive",
    "personal_share": "{} of the sample with personal data left in it",
    "label_share": "{} of the labelled dialogues under the commonest label",
    "length_drift": "lengths drift by {} since the committed version",
    "vocabulary_drift": "the vocabulary drifts by {} since the committed version",
    "embedding_drift": "the mean embedding drifts by {} since the committed version",
}
"""What each rule asks, with its bound left out."""

_NUM_EXAMPLES = 5
_SEVERITIES = {"stop": "critical", "warn": "warning"}


@dataclass(frozen=True, slots=True)
class Frames:
    """What is checked: the records' columns, a row of numbers per dialogue, the domain's figures.

    `columns` are names; `dialogues` has `dialogue_id` and what `dialogue.facts.facts_of` tells;
    `figures` a value for each rule that applies.
    """

    columns: list[str]
    dialogues: pd.DataFrame
    figures: Mapping[RuleName, float]


@dataclass(frozen=True, slots=True)
class Check:
    """An expectation, and whether it was met."""

    expectation: str
    description: str
    rule: RuleName | None
    """The rule of params.yaml that it stands for, if any."""
    action: Action
    is_met: bool
    observed: str
    bound: dict[str, Any]
    examples: list[str]
    """Ids of dialogues that do not meet it, the first few."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Every expectation, and Great Expectations' own rendering of each suite, as HTML."""

    checks: tuple[Check, ...]
    suites: dict[str, str]

    @property
    def failures(self) -> tuple[Check, ...]:
        """What stops the chain."""
        return tuple(each for each in self.checks if not each.is_met and each.action == "stop")

    @property
    def warnings(self) -> tuple[Check, ...]:
        """What is not met, and only warns."""
        return tuple(each for each in self.checks if not each.is_met and each.action == "warn")


def check(frames: Frames, settings: Validate, domain: str) -> Outcome:
    """Check the frames against all suites."""
    # Read when the library is imported, which takes more than a second and so happens here.
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    import pandas as pd  # noqa: PLC0415

    context = _context()
    # As objects: numbers of numpy's own types are more than Data Docs can render.
    figures = pd.DataFrame([dict(frames.figures)], dtype=object)
    suites = {
        "domain": (figures, _domain_suite(frames.figures, settings, domain)),
        "dialogues": (frames.dialogues, _dialogue_suite(settings, domain)),
        "columns": (pd.DataFrame(columns=frames.columns), _column_suite()),
    }
    results = {
        name: _run(context, name, frame, expectations)
        for name, (frame, expectations) in suites.items()
    }
    checks = tuple(_checked(result) for run in results.values() for result in run.results)
    return Outcome(checks, _rendered(results))


def worded(rule: RuleName, bound: DataRule) -> str:
    """A rule as a sentence: "at most 10% of the rows set aside as faulty"."""
    if bound.max == 0:
        amount = "none" if rule.endswith("_share") else "no"
    elif bound.max is not None:
        amount = f"at most {shown(rule, bound.max)}"
    else:
        assert bound.min is not None  # a rule has one of the two
        amount = f"at least {shown(rule, bound.min)}"
    return MEANINGS[rule].format(amount)


def shown(rule: RuleName, value: float) -> str:
    """A figure as it is read: shares in per cent, counts whole."""
    if rule.endswith("_share"):
        return f"{100 * value:.3g}%"
    return f"{value:.3f}".rstrip("0").rstrip(".") if rule.endswith("_drift") else f"{value:,.0f}"


def _context() -> Any:
    """A context that lives in memory, shows no progress bars and sends nothing."""
    import great_expectations as gx  # noqa: PLC0415
    from great_expectations.data_context.types.base import (  # noqa: PLC0415
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    config = DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
        progress_bars=ProgressBarsConfig(globally=False, metric_calculations=False),
        analytics_enabled=False,
    )
    return gx.get_context(mode="ephemeral", project_config=config)


def _domain_suite(figures: Mapping[RuleName, float], settings: Validate, domain: str) -> list[Any]:
    """The rules of params.yaml that apply: the warning ones with severity `warning`."""
    from great_expectations import expectations as gxe  # noqa: PLC0415

    suite: list[Any] = []
    for name, rule in settings.rules_for(domain).items():
        if name not in figures:
            continue
        common = {
            "column": name,
            "description": f"{worded(name, rule)} ({settings.path_of(domain, name)})",
            "severity": _SEVERITIES[rule.action],
            "meta": {"rule": name, "action": rule.action},
        }
        if rule.min is not None:
            suite.append(gxe.ExpectColumnMinToBeBetween(min_value=rule.min, **common))
        else:
            suite.append(gxe.ExpectColumnMaxToBeBetween(max_value=rule.max, **common))
    return suite


def _dialogue_suite(settings: Validate, domain: str) -> list[Any]:
    """What holds for every dialogue that is kept."""
    from great_expectations import expectations as gxe  # noqa: PLC0415

    sound = {
        "opens_with_user": "a dialogue begins with the user, after at most one system turn",
        "ends_with_assistant": "a dialogue ends with the assistant",
        "alternates": "user and assistant take turns",
        "in_order": "turns are numbered from 0 on, in file order",
        "one_split": "no dialogue is in two splits",
    }
    counts = {
        "unknown_roles": "a turn's role is system, user or assistant",
        "unknown_splits": "a split is train, validation or test",
        "foreign_turns": f"all turns are of {domain}",
        "empty_turns": "no turn is empty",
        **{f"null_{name}": f"`{name}` is filled in" for name in REQUIRED},
        **{f"damage_{name}": f"no text is damaged: no {name}" for name in DAMAGES},
    }
    return [
        gxe.ExpectColumnValuesToBeUnique(
            column="dialogue_id", description="no dialogue stands in the records twice"
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="num_turns",
            min_value=2,
            max_value=settings.max_turns,
            description=f"2 to {settings.max_turns} turns in a dialogue (validate.max_turns)",
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="longest_turn",
            min_value=1,
            max_value=settings.max_turn_characters,
            description=f"1 to {settings.max_turn_characters} characters in a turn "
            "(validate.max_turn_characters)",
        ),
        *(
            gxe.ExpectColumnValuesToBeInSet(column=name, value_set=[True], description=words)
            for name, words in sound.items()
        ),
        *(
            gxe.ExpectColumnValuesToBeInSet(column=name, value_set=[0], description=words)
            for name, words in counts.items()
        ),
    ]


def _column_suite() -> list[Any]:
    from great_expectations import expectations as gxe  # noqa: PLC0415

    return [
        gxe.ExpectTableColumnsToMatchOrderedList(
            column_list=SCHEMA.names, description="the columns are those of dialogue records"
        )
    ]


def _run(context: Any, name: str, frame: pd.DataFrame, expectations: list[Any]) -> Any:
    import great_expectations as gx  # noqa: PLC0415

    batch = (
        context.data_sources.add_pandas(name)
        .add_dataframe_asset(name)
        .add_batch_definition_whole_dataframe(name)
    )
    suite = context.suites.add(gx.ExpectationSuite(name, expectations=expectations))
    definition = context.validation_definitions.add(
        gx.ValidationDefinition(name=name, data=batch, suite=suite)
    )
    by_dialogue = ["dialogue_id"] if name == "dialogues" else None
    return definition.run(
        batch_parameters={"dataframe": frame},
        result_format={
            "result_format": "SUMMARY",
            "partial_unexpected_count": _NUM_EXAMPLES,
            **({"unexpected_index_column_names": by_dialogue} if by_dialogue else {}),
        },
    )


def _checked(result: Any) -> Check:
    config, found = result.expectation_config, result.result
    if "observed_value" in found:
        observed = str(found["observed_value"])
    elif "unexpected_count" in found:
        observed = f"{found['unexpected_count']} of {found['element_count']} otherwise"
    else:
        observed = str(result.exception_info)
    meta = config.meta or {}
    where = found.get("partial_unexpected_index_list") or []
    examples = [row["dialogue_id"] for row in where if isinstance(row, dict)]
    return Check(
        expectation=config.type,
        description=config.description or config.type,
        rule=meta.get("rule"),
        action=meta.get("action", "stop"),
        is_met=bool(result.success),
        observed=observed,
        bound={key: value for key, value in config.kwargs.items() if key != "batch_id"},
        examples=list(dict.fromkeys(examples)),
    )


def _rendered(results: dict[str, Any]) -> dict[str, str]:
    """Each suite's results as a part of a page."""
    from great_expectations.render.renderer import (  # noqa: PLC0415
        ValidationResultsPageRenderer,
    )
    from great_expectations.render.view import DefaultJinjaPageView  # noqa: PLC0415

    for run in results.values():
        for result in run.results:
            # Their tables show values as they are, and these come from whoever wrote them.
            result.result = _escaped(result.result)
    with tempfile.TemporaryDirectory() as views:
        (Path(views) / "sections.j2").write_text(_SECTIONS, encoding="utf-8")
        view = DefaultJinjaPageView(custom_views_directory=views)
        return {
            name: _SUITE_LINK.sub(
                lambda link: link[1],
                view.render(ValidationResultsPageRenderer().render(run), template="sections.j2"),
            )
            for name, run in results.items()
        }


_SECTIONS = """
{% for section in sections %}
  {% set section_loop = loop -%}
  {% include 'section.j2' %}
{% endfor %}
"""
"""Great Expectations' own sections without the page around them, which loads from the network."""


# Their site has a page per suite, ours has not.
_SUITE_LINK = re.compile(r'<a href="\.\./[^"]*"\s*>(.*?)</a>', re.DOTALL)


def _escaped(value: Any) -> Any:
    """The same value with every text in it made safe for HTML."""
    if isinstance(value, dict):
        return {key: _escaped(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    return html.escape(value) if isinstance(value, str) else value
