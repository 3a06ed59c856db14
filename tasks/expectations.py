"""The door to Great Expectations: what dialogues must be like, as suites, and their Data Docs."""

from __future__ import annotations

import html
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from dialogue.config import Validate
from dialogue.records import SCHEMA
from tasks._data_docs import SECTIONS_TEMPLATE, page

if TYPE_CHECKING:
    import pandas as pd

DIALOGUE_COLUMNS = (
    "dialogue_id",
    "num_turns",
    "opening",
    "last_role",
    "alternates",
    "in_order",
    "num_splits",
    "num_splits_of_words",
)
"""`opening`: the roles up to the first user turn; the last two: in how many splits it stands."""

_NUM_EXAMPLES = 5
_DAMAGE = r"[\x00\ufffd\ud800-\udfff]"


@dataclass(frozen=True, slots=True)
class Frames:
    """What is checked: a row per turn, a row per dialogue, and one row for the domain.

    `turns` has the columns of `dialogue.records.SCHEMA`, `dialogues` those named above, `domain`
    at least num_dialogues, num_test_dialogues, rejected_share and duplicate_share.
    """

    turns: pd.DataFrame
    dialogues: pd.DataFrame
    domain: pd.DataFrame


@dataclass(frozen=True, slots=True)
class Failure:
    """An expectation that was not met."""

    expectation: str
    description: str
    observed: str
    bound: dict[str, Any]
    examples: list[str]
    """Ids of dialogues that do not meet it, the first few."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many expectations there were, and which were not met."""

    num_expectations: int
    failures: tuple[Failure, ...]


def check(frames: Frames, settings: Validate, domain: str, docs: Path) -> Outcome:
    """Check the frames against all suites, and write what came of it as `docs`/index.html.

    The page is Great Expectations' own rendering in a page of ours, as theirs loads its styles
    from the network.
    """
    # Read when the library is imported, which takes more than a second and so happens here.
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    context = _context()
    suites = {
        "domain": (frames.domain, _domain_suite(settings)),
        "dialogues": (frames.dialogues, _dialogue_suite(settings)),
        "turns": (frames.turns, _turn_suite(settings, domain)),
    }
    results = {
        name: _run(context, name, frame, expectations)
        for name, (frame, expectations) in suites.items()
    }
    every = [result for run in results.values() for result in run.results]
    failures = tuple(_failure(result) for result in every if not result.success)
    docs.mkdir(parents=True, exist_ok=True)
    lines = [f"{each.description}: found {each.observed}" for each in failures]
    content = page(domain, len(every), lines, _rendered(results))
    (docs / "index.html").write_text(content, encoding="utf-8")
    return Outcome(len(every), failures)


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


def _domain_suite(settings: Validate) -> list[Any]:
    from great_expectations import expectations as gxe  # noqa: PLC0415

    return [
        gxe.ExpectColumnMinToBeBetween(
            column="num_dialogues",
            min_value=settings.min_dialogues,
            description=f"at least {settings.min_dialogues} dialogues (validate.min_dialogues)",
        ),
        gxe.ExpectColumnMinToBeBetween(
            column="num_test_dialogues",
            min_value=settings.min_test_dialogues,
            description=f"at least {settings.min_test_dialogues} dialogues in the test split "
            "(validate.min_test_dialogues)",
        ),
        gxe.ExpectColumnMaxToBeBetween(
            column="rejected_share",
            max_value=settings.max_rejected_share,
            description=f"at most {100 * settings.max_rejected_share:g}% of the rows set aside as "
            "faulty (validate.max_rejected_share)",
        ),
        gxe.ExpectColumnMaxToBeBetween(
            column="duplicate_share",
            max_value=settings.max_duplicate_share,
            description=f"at most {100 * settings.max_duplicate_share:g}% of the rows set aside as "
            "duplicates (validate.max_duplicate_share)",
        ),
    ]


def _dialogue_suite(settings: Validate) -> list[Any]:
    from great_expectations import expectations as gxe  # noqa: PLC0415

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
        gxe.ExpectColumnValuesToBeInSet(
            column="opening",
            value_set=["user", "system user"],
            description="a dialogue begins with the user, after at most one system turn",
        ),
        gxe.ExpectColumnValuesToBeInSet(
            column="last_role",
            value_set=["assistant"],
            description="a dialogue ends with the assistant",
        ),
        gxe.ExpectColumnValuesToBeInSet(
            column="alternates",
            value_set=[True],
            description="user and assistant take turns",
        ),
        gxe.ExpectColumnValuesToBeInSet(
            column="in_order",
            value_set=[True],
            description="turns are numbered from 0 on, in file order",
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="num_splits",
            max_value=1,
            description="no dialogue is in two splits",
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="num_splits_of_words",
            max_value=1,
            description="no dialogue is in another split in other typography",
        ),
    ]


def _turn_suite(settings: Validate, domain: str) -> list[Any]:
    from great_expectations import expectations as gxe  # noqa: PLC0415

    filled = [field.name for field in SCHEMA if not field.nullable]
    return [
        gxe.ExpectTableColumnsToMatchOrderedList(
            column_list=SCHEMA.names, description="the columns are those of dialogue records"
        ),
        *(
            gxe.ExpectColumnValuesToNotBeNull(column=name, description=f"`{name}` is filled in")
            for name in filled
        ),
        gxe.ExpectColumnValuesToBeInSet(
            column="role",
            value_set=["system", "user", "assistant"],
            description="a turn's role is system, user or assistant",
        ),
        gxe.ExpectColumnValuesToBeInSet(
            column="split",
            value_set=["train", "validation", "test"],
            description="a split is train, validation or test",
        ),
        gxe.ExpectColumnValuesToBeInSet(
            column="domain", value_set=[domain], description=f"all turns are of {domain}"
        ),
        gxe.ExpectColumnValueLengthsToBeBetween(
            column="text",
            min_value=1,
            max_value=settings.max_turn_characters,
            description=f"1 to {settings.max_turn_characters} characters in a turn "
            "(validate.max_turn_characters)",
        ),
        gxe.ExpectColumnValuesToNotMatchRegex(
            column="text",
            regex=_DAMAGE,
            description="no text is damaged (NUL, U+FFFD, lone surrogates)",
        ),
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
    by_dialogue = ["dialogue_id"] if "dialogue_id" in frame.columns else None
    return definition.run(
        batch_parameters={"dataframe": frame},
        result_format={
            "result_format": "SUMMARY",
            "partial_unexpected_count": _NUM_EXAMPLES,
            **({"unexpected_index_column_names": by_dialogue} if by_dialogue else {}),
        },
    )


def _failure(result: Any) -> Failure:
    config, found = result.expectation_config, result.result
    if "observed_value" in found:
        observed = str(found["observed_value"])
    elif "unexpected_count" in found:
        observed = f"{found['unexpected_count']} of {found['element_count']} otherwise"
    else:
        observed = str(result.exception_info)
    where = found.get("partial_unexpected_index_list") or []
    examples = [row["dialogue_id"] for row in where if isinstance(row, dict)]
    return Failure(
        expectation=config.type,
        description=config.description or config.type,
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
        (Path(views) / "sections.j2").write_text(SECTIONS_TEMPLATE, encoding="utf-8")
        view = DefaultJinjaPageView(custom_views_directory=views)
        return {
            name: cast(
                "str",
                view.render(ValidationResultsPageRenderer().render(run), template="sections.j2"),
            )
            for name, run in results.items()
        }


def _escaped(value: Any) -> Any:
    """The same value with every text in it made safe for HTML."""
    if isinstance(value, dict):
        return {key: _escaped(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    return html.escape(value) if isinstance(value, str) else value
