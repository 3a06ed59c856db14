"""The page of `perennial data diff`: counts, plots of the drift, and examples in one HTML file."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter, ScalarFormatter

# Two colours that stay apart for colour-blind eyes and in print.
_BEFORE, _AFTER = "#0072b2", "#d55e00"

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{ title }}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;margin:1rem 0}th,td{padding:.2rem .8rem;text-align:right}
th:first-child,td:first-child{text-align:left}thead th{border-bottom:1px solid #999}
svg{max-width:100%;height:auto}.words{display:flex;gap:3rem;flex-wrap:wrap}
.quiet{color:#666;font-size:.9rem}.warning{color:#b00020}
.bar{display:inline-block;height:.7em;width:.7em}
.example{border-left:3px solid #ccc;padding-left:1rem;margin:1rem 0}
.line{white-space:pre-wrap;overflow-wrap:anywhere}
.line i{display:inline-block;width:1.2rem;font-style:normal}
.line b{display:inline-block;width:6rem;font-weight:600}
</style></head><body>
<h1>{{ title }}</h1>
<p>{% for side, colour in ((before, colours[0]), (after, colours[1])) -%}
<span class="bar" style="background:{{ colour }}"></span>
{{ side.name }}{% if side.date %}, {{ side.date[:10] }}{% endif %}
<span class="quiet">{{ side.digest or '' }}</span>{% if not loop.last %}<br>{% endif %}
{% endfor %}</p>
<table><thead><tr><th>dialogues</th>
{% for name in columns %}<th>{{ name }}</th>{% endfor %}</tr></thead>
{% for split, cells in rows %}<tr><td>{{ split }}</td>{% for cell in cells %}
<td>{{ '{:,}'.format(cell) }}</td>{% endfor %}</tr>{% endfor %}</table>
{% for move in moved %}<p{% if move.from == 'test' %} class="warning"{% endif %}>
{{ '{:,}'.format(move.dialogues) }} moved from {{ move.from }} to {{ move.to }}</p>{% endfor %}
<h2>Drift</h2>
{{ plots }}
<ul>{% for line in lines %}<li>{{ line }}</li>{% endfor %}</ul>
<div class="words">{% for heading, words in words %}{% if words %}<div><h3>{{ heading }}</h3>
<table><thead><tr><th>word</th><th>before</th><th>after</th></tr></thead>
{% for word in words %}<tr><td>{{ word.word }}</td><td>{{ '{:.2f}'.format(word.before) }}</td>
<td>{{ '{:.2f}'.format(word.after) }}</td></tr>{% endfor %}</table></div>{% endif %}
{% endfor %}</div>
<p class="quiet">Occurrences among a thousand words{% if sampled %}, in a sample of
{{ '{:,}'.format(sampled) }} dialogues of either version{% endif %}.</p>
{% for kind, examples in examples.items() if examples %}<h2>{{ kind.capitalize() }}</h2>
<p class="quiet">{{ examples|length }} of {{ '{:,}'.format(totals[kind]) }}</p>
{% for example in examples %}<div class="example"><p class="quiet">{{ example.origin }},
{{ example.split }}</p>{% for line in example.lines %}
<div class="line"><i>{{ line.sign }}</i><b>{{ line.role }}</b>{{ line.text }}</div>
{%- endfor %}</div>
{% endfor %}{% endfor %}
</body></html>
"""


def write_page(folder: Path, summary: Mapping[str, Any]) -> Path:
    """Write `index.html` and `summary.json` into the folder; returns the page.

    Args:
        folder: where to; made where it is not there.
        summary: as `tasks.data_diff.compare_versions` returns it.
    """
    from perennial.data_diff import COUNTED, counts_by_split, drift_lines

    folder.mkdir(parents=True, exist_ok=True)
    content = json.dumps(summary, indent=2, ensure_ascii=False) + "\n"
    (folder / "summary.json").write_text(content, encoding="utf-8")
    drift = summary["drift"]
    page = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(_PAGE)
    html = page.render(
        title=f"{summary['domain']}: {summary['before']['name']} → {summary['after']['name']}",
        colours=(_BEFORE, _AFTER),
        before=summary["before"],
        after=summary["after"],
        columns=COUNTED,
        rows=counts_by_split(summary),
        moved=summary["moved"],
        plots=Markup(_plots(drift)),  # noqa: S704 - drawn here, from numbers
        lines=drift_lines(drift),
        words=(("More often now", drift["more"]), ("Less often now", drift["less"])),
        sampled=max(drift["sample"]) if _is_sample(summary) else 0,
        examples=summary["examples"],
        totals={kind: sum(summary[kind].values()) for kind in summary["examples"]},
    )
    path = folder / "index.html"
    path.write_text(html, encoding="utf-8")
    return path


def _scale(ax: Axes, lengths: Sequence[float]) -> None:
    """A logarithmic axis where lengths span more than a decade; with plain numbers on it."""
    if max(lengths) > 10 * max(1.0, min(lengths)):
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(ScalarFormatter())
        ax.xaxis.set_minor_formatter(NullFormatter())
    else:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def _is_sample(summary: Mapping[str, Any]) -> bool:
    sides = zip(summary["drift"]["sample"], ("before", "after"), strict=True)
    return any(size < sum(summary[side]["dialogues"].values()) for size, side in sides)


def _plots(drift: Mapping[str, Any]) -> str:
    """Lengths of both versions as an SVG: the share of dialogues up to each length."""
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    axes: Sequence[Axes] = figure.subplots(1, 2)
    for ax, name, label in zip(
        axes,
        ("turns", "characters"),
        ("turns in a dialogue", "characters in a dialogue"),
        strict=True,
    ):
        for side, colour in (("before", _BEFORE), ("after", _AFTER)):
            quantiles = np.asarray(drift[name][side], dtype=float)
            shares = np.linspace(0, 1, len(quantiles))
            ax.step(quantiles, shares, where="post", color=colour, label=side, linewidth=1.6)
        _scale(ax, drift[name]["before"] + drift[name]["after"])
        ax.set_xlabel(label)
        ax.set_ylim(0, 1.02)
        ax.grid(visible=True, color="#ddd")
    axes[0].set_ylabel("share of dialogues with at most as many")
    axes[0].legend(frameon=False, loc="lower right")
    drawn = io.StringIO()
    figure.savefig(drawn, format="svg", metadata={"Date": None})
    return drawn.getvalue()[drawn.getvalue().index("<svg") :]  # without the XML prologue
