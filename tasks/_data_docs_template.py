"""How the Data Docs page looks: one HTML file that loads nothing and runs nothing."""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --good: #1a7f37; --bad: #cf222e;
  --warn: #9a6700; --now: #2f6fde; --then: #8c959f; }
@media (prefers-color-scheme: dark) {
  :root { --good: #3fb950; --bad: #ff7b72; --warn: #d29922; --now: #6ea8fe; } }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 0 auto; padding: 1.5rem; }
h1 { font-size: 1.7rem; margin: 0; }
h2 { font-size: 1.15rem; margin: 2.4rem 0 0.4rem; }
h3 { font-size: 0.95rem; margin: 1.2rem 0 0.3rem; }
p { margin: 0.3rem 0; }
.quiet { opacity: 0.7; }
.verdict { font-weight: 600; font-size: 1.05rem; margin: 0.4rem 0 1rem; }
.good { color: var(--good); } .bad { color: var(--bad); } .warn { color: var(--warn); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr));
  gap: 0.7rem; }
.tile { border: 1px solid var(--line); border-radius: 0.5rem; padding: 0.6rem 0.8rem; }
.tile b { display: block; font-size: 1.45rem; line-height: 1.25;
  font-variant-numeric: tabular-nums; }
.tile span { font-size: 0.85rem; opacity: 0.75; }
table.facts { border-collapse: collapse; width: 100%; margin: 0.4rem 0; font-size: 0.92rem; }
.facts th { text-align: left; font-weight: 600; font-size: 0.82rem; opacity: 0.75; }
.facts th, .facts td { border-bottom: 1px solid var(--line); padding: 0.35rem 0.9rem 0.35rem 0;
  vertical-align: top; overflow-wrap: anywhere; }
.facts .number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums;
  overflow-wrap: normal; }
.facts .status { white-space: nowrap; width: 6.5rem; font-weight: 600; }
.facts.fixed { table-layout: fixed; }
.facts.pairs td:nth-child(2), .facts.pairs td:nth-child(3) { width: 34%; }
.facts .short { white-space: nowrap; }
code { font: 0.88em ui-monospace, monospace; }
.why { display: block; font-size: 0.88em; opacity: 0.75; }
.bars { display: grid; grid-template-columns: minmax(8rem, max-content) 1fr max-content;
  gap: 0.25rem 0.8rem; align-items: center; font-size: 0.9rem; margin: 0.5rem 0;
  max-width: 44rem; }
.bars .name { overflow-wrap: anywhere; max-width: 26rem; }
.bars .count { text-align: right; font-variant-numeric: tabular-nums; }
.track { background: var(--soft); border-radius: 0.2rem; }
.track i { display: block; height: 0.8rem; min-width: 2px; border-radius: 0.2rem;
  background: var(--now); }
.track i.then { background: var(--then); height: 0.45rem; margin-top: 1px; }
.track i.now { height: 0.45rem; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(22rem, 1fr)); gap: 1.6rem; }
.plots h3 { margin-top: 0.4rem; }
.columns { display: flex; align-items: flex-end; gap: 3px; height: 8.5rem; margin-top: 0.4rem;
  border-bottom: 1px solid var(--line); }
.columns > div { flex: 1; height: 100%; display: flex; align-items: flex-end; gap: 1px; }
.columns i { flex: 1; background: var(--now); border-radius: 2px 2px 0 0; }
.columns i.then { background: var(--then); }
.axis { display: flex; gap: 3px; font-size: 0.75rem; opacity: 0.75; }
.axis span { flex: 1; text-align: center; overflow: hidden; white-space: nowrap; }
.legend { font-size: 0.85rem; }
.legend i { display: inline-block; width: 0.7rem; height: 0.7rem; border-radius: 2px;
  background: var(--now); margin: 0 0.3rem 0 0.8rem; }
.legend i.then { background: var(--then); }
.legend i:first-child { margin-left: 0; }
details { margin-top: 0.5rem; border: 1px solid var(--line); border-radius: 0.5rem;
  padding: 0.5rem 0.9rem; }
summary { cursor: pointer; font-weight: 600; }
i { font-style: normal; }
/* The few classes of Bootstrap and Font Awesome that Great Expectations' sections use. */
.suite h5, .suite h6 { font-size: 0.95rem; margin: 0.8rem 0 0.2rem; }
.suite table { border-collapse: collapse; width: 100%; margin: 0.4rem 0; font-size: 0.9rem; }
.suite th { text-align: left; white-space: nowrap; }
.suite th, .suite td { border-bottom: 1px solid var(--line); padding: 0.3rem 0.8rem 0.3rem 0;
  vertical-align: top; overflow-wrap: anywhere; }
.suite td:first-child:not(:nth-last-child(2)) { width: 5rem; }
.suite td:last-child { width: 35%; }
.show-scrollbars { max-height: 12rem; overflow: auto; } .show-scrollbars p { margin: 0; }
.text-success { color: var(--good); } .text-danger { color: var(--bad); }
.text-warning { color: var(--warn); }
.fa-check-circle::before { content: "\\2713"; font-weight: bold; }
.fa-times::before { content: "\\2717"; font-weight: bold; }
.fa-exclamation-triangle::before { content: "!"; font-weight: bold; }
.badge { border: 1px solid var(--line); border-radius: 0.3rem; padding: 0 0.3rem; }
.collapse { display: none; } .collapse:target { display: block; }
"""

# What users wrote stands on this page: every value is escaped, and nothing may run or load.
PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{{ domain }}: validation</title><style>{{ style | safe }}</style></head>
<body>
{%- macro bars(rows) %}
<div class="bars">
{%- for row in rows %}
<span class="name">{{ row.name }}</span>
<span class="track">
{%- if row.then is not none %}<i class="now" style="width: {{ row.width }}%"></i>
<i class="then" style="width: {{ row.then }}%"></i>
{%- else %}<i style="width: {{ row.width }}%"></i>{% endif -%}
</span><span class="count">{{ row.count }}</span>
{%- endfor %}
</div>
{%- endmacro %}
{%- macro columns(plot) %}
<div class="columns">
{%- for now, then in plot.heights %}
<div><i style="height: {{ now }}%"></i>
{%- if plot.has_then %}<i class="then" style="height: {{ then }}%"></i>{% endif %}</div>
{%- endfor %}
</div>
<div class="axis">{% for label in plot.labels %}<span>{{ label }}</span>{% endfor %}</div>
{%- endmacro %}
{%- macro place(one) %}<code>{{ one.origin }}</code>
<span class="why">{{ one.domain }}, {{ one.split }}{% if one.excerpt %}:
“{{ one.excerpt }}”{% endif %}</span>{% endmacro %}
{%- macro origins(rows) %}
<table class="facts fixed"><tr><th>where</th><th>why</th><th>how it begins</th></tr>
{%- for row in rows %}
<tr><td><code>{{ row.origin }}</code></td><td>{{ row.reason }}</td><td>{{ row.excerpt }}</td></tr>
{%- endfor %}</table>
{%- endmacro %}
{%- macro folded(rows, first, second) %}
{{ pairs(rows[:num_open], first, second) }}
{%- if rows | length > num_open %}
<details><summary>{{ rows | length - num_open }} more</summary>
{{ pairs(rows[num_open:], first, second) }}</details>{% endif %}
{%- endmacro %}
{%- macro pairs(rows, first, second) %}
<table class="facts pairs"><tr><th class="number">similarity</th><th>{{ first }}</th>
<th>{{ second }}</th><th>what follows</th></tr>
{%- for pair in rows %}
<tr><td class="number">{{ pair.similarity }}</td><td>{{ place(pair.first) }}</td>
<td>{{ place(pair.second) }}</td><td>{{ pair.consequence }}</td></tr>
{%- endfor %}</table>
{%- endmacro %}
<h1>{{ domain }}: validation</h1>
<p class="verdict {{ verdict.tone }}">{{ verdict.words }}</p>
<div class="tiles">
{%- for tile in tiles %}<div class="tile"><b>{{ tile.value }}</b><span>{{ tile.name }}</span></div>
{%- endfor %}
</div>

<section id="rules"><h2>Rules</h2>
<table class="facts"><tr><th>outcome</th><th>rule</th><th>what it asks</th>
<th class="number">found</th><th class="short">action</th></tr>
{%- for rule in rules %}
<tr><td class="status {{ rule.tone }}">{{ rule.outcome }}</td>
<td class="short"><code>{{ rule.name }}</code></td>
<td>{{ rule.asks }}{% if rule.why %}<span class="why">{{ rule.why }}</span>{% endif %}</td>
<td class="number">{{ rule.found }}</td><td>{{ rule.action }}</td></tr>
{%- endfor %}</table>
{%- if broken %}
<h3>Expectations of every dialogue that are not met</h3>
<table class="facts"><tr><th>outcome</th><th>what it asks</th><th>found</th>
<th>for example</th></tr>
{%- for check in broken %}
<tr><td class="status bad">✗ stops</td><td>{{ check.description }}</td>
<td>{{ check.observed }}</td>
<td>{% for one in check.examples %}<code>{{ one }}</code> {% endfor %}</td></tr>
{%- endfor %}</table>
{%- endif %}
</section>

<section id="set-aside"><h2>Set aside</h2>
{%- if set_aside.rows %}
{{ bars(set_aside.reasons) }}
{{ origins(set_aside.rows[:num_open]) }}
{%- if set_aside.rows | length > num_open %}
<details><summary>{{ set_aside.rows | length - num_open }} more</summary>
{{ origins(set_aside.rows[num_open:]) }}</details>{% endif %}
<p class="quiet">{{ set_aside.note }}</p>
{%- else %}<p class="quiet">No row was set aside.</p>{% endif %}
</section>

<section id="near-duplicates"><h2>Near-duplicates</h2>
<p class="quiet">{{ near.note }}</p>
{%- if near.rows %}{{ folded(near.rows, "one dialogue", "nearly the same") }}{% endif %}
</section>

<section id="leaks"><h2>Leaks</h2>
<p class="quiet">{{ leaks.note }}</p>
{%- if leaks.rows %}{{ folded(leaks.rows, "held out", "trained on") }}{% endif %}
</section>

<section id="drift"><h2>Drift</h2>
<p class="quiet">{{ drift.note }}</p>
{%- if drift.figures %}
<table class="facts"><tr><th>drift of</th><th class="number">distance</th>
<th>how it is measured</th></tr>
{%- for row in drift.figures %}
<tr><td>{{ row.name }}</td><td class="number">{{ row.value }}</td><td>{{ row.measure }}</td></tr>
{%- endfor %}</table>
<p class="legend"><i></i>this version<i class="then"></i>committed version</p>
{%- endif %}
<div class="plots">
{%- for plot in drift.plots %}<div><h3>{{ plot.title }}</h3>
{%- if plot.heights %}{{ columns(plot) }}{% else %}{{ bars(plot.rows) }}{% endif %}</div>
{%- endfor %}
</div></section>

<section id="contents"><h2>What it holds</h2><div class="plots">
{%- for plot in contents %}<div><h3>{{ plot.title }}</h3>
{%- if plot.rows %}{{ bars(plot.rows) }}{% endif %}
{%- if plot.note %}<p class="quiet">{{ plot.note }}</p>{% endif %}</div>
{%- endfor %}
</div></section>

<section id="expectations"><h2>Great Expectations</h2>
{%- for name, body in suites.items() %}
<details class="suite"><summary>Suite: {{ name }}</summary>{{ body | safe }}</details>
{%- endfor %}
</section>
</body></html>
"""
