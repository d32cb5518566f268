"""How the page of `birdnet-nl data` looks in light and dark, and the line that follows a sound being played."""

STYLE = """
:root { color-scheme: light dark; --paper: #fbfaf7; --card: #fff; --ink: #23282b; --soft: #697177; --line: #e4e1d9;
  --song: #2a9d5c; --call: #3977b5; --alarm: #d1495b; --several: #c8963e; --other: #8d8d94; --warn: #fff4d6; }
@media (prefers-color-scheme: dark) { :root { --paper: #15181a; --card: #1d2124; --ink: #e6e4df; --soft: #9aa2a8;
  --line: #30363a; --song: #49b97a; --call: #6aa5dd; --alarm: #e8717f; --warn: #3a3219; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1120px; padding: 2rem 1.2rem 4rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.9rem; margin: 0; line-height: 1.2; } h2 { font-size: 1.5rem; margin: 3rem 0 0; line-height: 1.2; }
h3 { font-size: .8rem; font-weight: 600; margin: 0 0 .5rem; letter-spacing: .06em; text-transform: uppercase;
  color: var(--soft); }
p { margin: .4rem 0; } .soft { color: var(--soft); } a { color: inherit; text-decoration-color: var(--soft); }
.tiles { display: flex; flex-wrap: wrap; gap: .7rem; margin: 1.1rem 0; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: .6rem 1rem;
  min-width: 7rem; }
.tile b { display: block; font-size: 1.5rem; line-height: 1.25; } .tile span { color: var(--soft); font-size: .82rem; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1rem; min-width: 0; }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 430px), 1fr)); gap: .9rem;
  margin: .9rem 0; }
.wide { grid-column: 1 / -1; } .wide svg { min-width: 800px; }
.card svg { width: 100%; height: auto; display: block; } .card svg text { font-family: inherit !important; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: right; font-weight: 600; font-size: .78rem; color: var(--soft); }
td { text-align: right; } th, td { padding: .34rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child, .left { text-align: left; } td.left { white-space: normal; min-width: 11rem; }
tr:last-child td { border-bottom: 0; }
.chip { display: inline-block; width: .7rem; height: .7rem; border-radius: 3px; margin-right: .45rem; }
.legend { margin: .9rem 0 0; font-size: .88rem; } .legend span { margin-right: 1.1rem; white-space: nowrap; }
.yes { color: var(--song); font-weight: 600; } .just { color: var(--several); font-weight: 600; }
.no { color: var(--alarm); font-weight: 600; }
.note { background: var(--warn); border-radius: 8px; padding: .5rem .8rem; display: inline-block; }
code { background: var(--card); border: 1px solid var(--line); border-radius: 6px; padding: .2rem .5rem;
  display: inline-block; user-select: all; overflow-wrap: anywhere; }
.example { padding: .8rem; } .example p { margin: 0 0 .4rem; font-size: .88rem; } .example audio { width: 100%; }
.mel { position: relative; margin: 0 0 .5rem 1.7rem; height: 150px; background: #000004; border-radius: 4px; }
.activity { display: block; width: calc(100% - 1.7rem); height: 22px; margin: 0 0 .5rem 1.7rem; fill: #c8963e; }
.mel img { width: 100%; height: 100%; display: block; border-radius: 4px; }
.mel span { position: absolute; left: -1.7rem; font-size: .68rem; color: var(--soft); transform: translateY(50%);
  width: 1.4rem; text-align: right; }
.mel i { position: absolute; top: 0; bottom: 0; left: 0; width: 2px; background: #fff; opacity: 0; }
details { margin: .4rem 0; } summary { cursor: pointer; }
"""

SCRIPT = """
document.querySelectorAll(".example").forEach(card => {
  const sound = card.querySelector("audio"), line = card.querySelector(".mel i");
  if (!sound) return;
  const follow = () => {
    line.style.left = 100 * sound.currentTime / (sound.duration || 1) + "%";
    line.style.opacity = sound.paused && !sound.currentTime ? 0 : .85;
    if (!sound.paused) requestAnimationFrame(follow);
  };
  sound.addEventListener("play", follow);
  sound.addEventListener("seeked", follow);
});
"""
