"""The page: sections in reading order, from the answer to what one needs to repeat it.

One file with inline style and graphics: it can be mailed, archived and opened offline. It names no address outside
itself and runs no script.
"""

from __future__ import annotations

from html import escape
from importlib.resources import files
from pathlib import Path

from . import words
from .sections import SECTIONS
from .story import Story


def write_report(folder: Path) -> Path:
    """Draw `report.html` of a finished run folder. Raises CorruptFileError when a file of the run cannot be read."""
    from ..run_folder import write_text

    folder = Path(folder)
    write_text(folder / "report.html", _page(Story(folder)))
    return folder / "report.html"


def _page(run: Story) -> str:
    results = run.results
    answer = words.headline(results, run.facts.get("differences", []))
    sections = [s for s in (build(run) for build in SECTIONS) if s[2]]
    menu = "".join(f'<a href="#{anchor}">{escape(title)}</a>' for anchor, title, _ in sections)
    body = "".join(
        f'<section id="{anchor}"><h2>{escape(title)}</h2>{html}</section>' for anchor, title, html in sections
    )
    stamps = "".join(f"<li>{escape(stamp)}</li>" for stamp in run.facts.get("stamps", []))
    recipe, *others = (escape(results[key]) for key in ("recipe", "modality", "objective", "dataset"))
    kicker = " · ".join([f"<b>{recipe}</b>", *others])
    version = escape(results.get("versions", {}).get("omnipatch", ""))
    when = escape(str(run.environment.get("started", ""))[:10])
    style = files(__package__ or "").joinpath("style.css").read_text(encoding="utf-8")
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{recipe}: {escape(answer.title)}</title>
<style>{style}</style></head><body>
<header class="top"><p class="kicker">{kicker} · {when}</p>
<div class="answer {answer.verdict}">{answer.html}</div>
{f'<ul class="stamps">{stamps}</ul>' if stamps else ""}
<nav>{menu}</nav></header>
<main>{body}</main>
<footer>omnipatch {version}. A research tool, not a medical device.</footer>
</body></html>
"""
