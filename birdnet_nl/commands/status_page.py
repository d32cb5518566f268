"""A sweep's standing as one page that needs nothing from anywhere; it sorts by a click on a column's head."""

import time
from collections.abc import Sequence
from html import escape

from birdnet_nl.commands.status_tables import state_name
from birdnet_nl.sweep.job_file import State
from birdnet_nl.sweep.progress import in_words
from birdnet_nl.sweep.status import Standing
from birdnet_nl.sweep.sweep_file import resume_command
from birdnet_nl.sweep.table import UNWELL, Row, group_reasons

STYLE = """
:root{--ink:#1d2a2f;--soft:#5f7078;--line:#dde5e8;--paper:#fbfcfc;--card:#fff;--done:#2e8b57;--running:#2b7bbb;
--failed:#c0392b;--few:#c98a00;--cancelled:#8e5aa8;--waiting:#aeb9be}
@media(prefers-color-scheme:dark){:root{--ink:#e6edef;--soft:#9fb0b7;--line:#33424a;--paper:#141b1f;--card:#1b2429}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);margin:2rem auto;max-width:70rem;
padding:0 1rem}
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}.soft{color:var(--soft)}
.bar{display:flex;height:1.1rem;border-radius:.5rem;overflow:hidden;background:var(--line);margin:1rem 0}
.bar i{display:block}.tiles{display:flex;flex-wrap:wrap;gap:.8rem}
.tile{background:var(--card);border:1px solid var(--line);border-radius:.6rem;padding:.5rem .9rem}
.tile b{font-size:1.3rem;display:block}table{border-collapse:collapse;width:100%;background:var(--card)}
th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid var(--line);vertical-align:top}
th{cursor:pointer;position:sticky;top:0;background:var(--card)}td.n{text-align:right;font-variant-numeric:tabular-nums}
.chip{color:#fff;border-radius:1rem;padding:.05rem .6rem;font-size:.85rem;white-space:nowrap}
.meter{background:var(--line);height:.5rem;border-radius:.25rem;width:8rem;position:relative;display:inline-block}
.meter i{position:absolute;top:0;bottom:0;background:var(--done);opacity:.35;border-radius:.25rem}
.meter b{position:absolute;top:-.15rem;bottom:-.15rem;width:.2rem;background:var(--done)}
.note{background:#ffe9a8;color:#4a3a00;padding:.4rem .8rem;border-radius:.4rem}code{background:var(--line);
padding:.1rem .35rem;border-radius:.3rem}.scroll{overflow-x:auto}
"""
SCRIPT = """
document.querySelectorAll('th').forEach((head,column)=>head.addEventListener('click',()=>{
const body=document.querySelector('tbody'),down=head.dataset.down!=='1';head.dataset.down=down?'1':'';
const value=row=>{const cell=row.cells[column];return cell.dataset.v??cell.textContent};
[...body.rows].sort((a,b)=>{const x=value(a),y=value(b),n=parseFloat(x)-parseFloat(y);
const order=isNaN(n)?x.localeCompare(y):n;return down?order:-order}).forEach(row=>body.append(row))}));
"""
COLOURS = {
    State.DONE: "done",
    State.RUNNING: "running",
    State.FAILED: "failed",
    State.TOO_FEW: "few",
    State.CANCELLED: "cancelled",
    State.WAITING: "waiting",
}


def page_of(standing: Standing, language: str) -> str:
    counts, total = standing.counts, len(standing.rows)
    bar = "".join(
        f'<i style="width:{100 * counts[state] / total:.2f}%;background:var(--{colour})" '
        f'title="{counts[state]} {state_name(state, language)}"></i>'
        for state, colour in COLOURS.items()
        if counts[state]
    )
    tiles = [(counts[state], state_name(state, language)) for state in COLOURS if counts[state]]
    tiles += [(f"{done}/{of}", f"priority {priority}") for priority, (done, of) in standing.coverage().items()]
    if standing.seconds_left:
        tiles.append((in_words(standing.seconds_left), "to go"))
    synthetic = any(row.synthetic for row in standing.rows)
    title = escape(standing.folder.name)
    return (
        f'<!DOCTYPE html>\n<html lang="{"nl" if language == "dutch" else "en"}"><head><meta charset="utf-8">'
        f'<title>{title}</title><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head>\n<body><h1>{title}</h1>"
        f'<p class="soft">{total} jobs, as of {time.strftime("%Y-%m-%d %H:%M:%S")}</p>'
        + ('<p class="note">Synthetic demo recordings: no figure here says anything about birds.</p>'
           if synthetic else "")
        + f'<div class="bar">{bar}</div><div class="tiles">'
        + "".join(f'<div class="tile"><b>{value}</b>{escape(str(name))}</div>' for value, name in tiles)
        + f"</div>{_extremes(standing.ranked(), language)}{_troubles(standing, language)}"
        + f'<h2>All jobs</h2><div class="scroll">{_table(standing.rows, language)}</div>'
        + f"<script>{SCRIPT}</script></body></html>\n"
    )  # fmt: skip


def _extremes(ranked: Sequence[Row], language: str) -> str:
    if len(ranked) < 2:
        return ""
    count = min(5, len(ranked) // 2)

    def named(rows: Sequence[Row]) -> str:
        return ", ".join(f"{escape(row.name(language))} {row.figure:.0%}" for row in rows)

    return (
        f"<h2>Best and worst</h2><p>{named(ranked[:count])}</p><p>{named(ranked[: -count - 1 : -1])}</p>"
        '<p class="soft">balanced accuracy per test recording</p>'
    )


def _troubles(standing: Standing, language: str) -> str:
    parts = []
    for reason, rows in group_reasons([row for row in standing.rows if row.state in (State.TOO_FEW, *UNWELL)]):
        names = ", ".join(dict.fromkeys(row.name(language) for row in rows))
        parts.append(
            f"<details open><summary>{len(rows)} × {_chip(rows[0], language)} {escape(reason)}</summary>"
            f'<p class="soft">{escape(names)}<br>log: <code>{escape(str(rows[0].log))}</code></p></details>'
        )
    if not parts:
        return ""
    command = f"<code>{escape(resume_command(standing.folder))}</code>"
    go_on = f"<p>Go on with what is left: {command}</p>" if standing.sweep else ""
    return f"<h2>Not done</h2>{''.join(parts)}{go_on}"


def _chip(row: Row, language: str) -> str:
    name = state_name(row.state, language)
    epoch = f" {row.epoch[0]}/{row.epoch[1]}" if row.epoch else ""
    return f'<span class="chip" style="background:var(--{COLOURS[row.state]})">{name}{epoch}</span>'


def _table(rows: Sequence[Row], language: str) -> str:
    heads = ("soort" if language == "dutch" else "species", "priority", "set", "with", "state", "balanced accuracy", "",
             "seconds", "tries", "reason")  # fmt: skip
    body = []
    for row in rows:
        cells = [f"<td>{escape(row.name(language))}</td>", f'<td class="n">{row.priority or ""}</td>']
        cells += [f"<td>{escape(row.parameter_set)}</td>", f"<td>{escape(row.settings)}</td>"]
        cells.append(f"<td>{_chip(row, language)}</td>")
        cells.append(f'<td class="n" data-v="{-1 if row.figure is None else row.figure}">{row.figure_text}</td>')
        cells.append(f"<td>{_meter(row)}</td>")
        seconds = "" if row.seconds is None else f"{row.seconds:.0f}"
        cells += [f'<td class="n">{seconds}</td>', f'<td class="n">{row.attempts or ""}</td>']
        cells.append(f"<td>{escape(row.reason)}</td>")
        body.append(f"<tr>{''.join(cells)}</tr>")
    return (
        f"<table><thead><tr>{''.join(f'<th>{head}</th>' for head in heads)}</tr></thead>"
        f"<tbody>{''.join(body)}</tbody></table>"
    )


def _meter(row: Row) -> str:
    if row.figure is None:
        return ""
    low, high = row.interval or (row.figure, row.figure)
    return (
        f'<span class="meter"><i style="left:{100 * low:.1f}%;width:{100 * (high - low):.1f}%"></i>'
        f'<b style="left:{100 * row.figure:.1f}%"></b></span>'
    )
