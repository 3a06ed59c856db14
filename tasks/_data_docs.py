"""The page that Data Docs stand in: one HTML file that loads nothing."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence

SECTIONS_TEMPLATE = """
{% for section in sections %}
  {% set section_loop = loop -%}
  {% include 'section.j2' %}
{% endfor %}
"""
"""Great Expectations' own sections without the page around them, which loads from the network."""

# What users wrote stands on this page: none of it may run or load anything.
_LOADS_NOTHING = (
    '<meta http-equiv="Content-Security-Policy" '
    "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
)
# The few classes of Bootstrap and Font Awesome that the sections use.
_STYLE = """
:root { color-scheme: light dark; --line: #8886; --good: #1a7f37; --bad: #cf222e; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: 0; }
h2 { font-size: 1.2rem; margin-top: 2.5rem; border-bottom: 2px solid var(--line); }
h5, h6 { font-size: 1rem; margin: 0.8rem 0 0.2rem; }
table { border-collapse: collapse; width: 100%; margin: 0.4rem 0; }
th { text-align: left; }
th, td { border-bottom: 1px solid var(--line); padding: 0.3rem 0.8rem 0.3rem 0; }
th, td { vertical-align: top; overflow-wrap: anywhere; }
td:first-child:not(:nth-last-child(2)) { width: 4rem; }
td:last-child { width: 40%; }
.show-scrollbars { max-height: 12rem; overflow: auto; }
.show-scrollbars p { margin: 0; }
.verdict { font-weight: 600; }
.text-success, .good { color: var(--good); }
.text-danger, .bad { color: var(--bad); }
.fa-check-circle::before { content: "\\2713"; font-weight: bold; }
.fa-times::before { content: "\\2717"; font-weight: bold; }
.fa-exclamation-triangle::before { content: "!"; font-weight: bold; }
.badge { border: 1px solid var(--line); border-radius: 0.3rem; padding: 0 0.3rem; }
.collapse { display: none; }
.collapse:target { display: block; }
i { font-style: normal; }
"""

# Their site has a page per suite, ours has not.
_SUITE_LINK = re.compile(r'<a href="\.\./[^"]*"\s*>(.*?)</a>', re.DOTALL)


def page(
    domain: str, num_expectations: int, failures: Sequence[str], sections: Mapping[str, str]
) -> str:
    """The whole page: the outcome in a sentence, what fails, then every suite's sections."""
    name = html.escape(domain)
    if failures:
        items = "".join(f"<li>{html.escape(failure)}</li>" for failure in failures)
        verdict = (
            f'<p class="verdict bad">{len(failures)} of {num_expectations} expectations fail</p>'
            f"<ul>{items}</ul>"
        )
    else:
        verdict = f'<p class="verdict good">all {num_expectations} expectations are met</p>'
    suites = "\n".join(
        f'<section id="{html.escape(suite)}"><h2>Suite: {html.escape(suite)}</h2>'
        f"{_SUITE_LINK.sub(_link_text, body)}</section>"
        for suite, body in sections.items()
    )
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f"{_LOADS_NOTHING}"
        f"<title>{name}: validation</title><style>{_STYLE}</style></head>\n"
        f"<body><h1>{name}: validation</h1>{verdict}\n{suites}\n</body></html>\n"
    )


def _link_text(link: re.Match[str]) -> str:
    return link[1]
