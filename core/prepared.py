"""The data of a recipe, read, windowed and split: what every later step starts from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .console import Voice
from .settings import Settings

if TYPE_CHECKING:
    from .data.shard import Skipped
    from .data.sources import SourceList
    from .data.splits import Split
    from .data.store import WindowStore
    from .modality import Modality
    from .ranking import Leaks


@dataclass(frozen=True, eq=False)
class Prepared:
    """Windows and splits (one, or one a fold) of a recipe's data. modality: the recipe's, fitted to them. leaks: of a
    ranking task, what the data let slip from what is tested into what is learned from."""

    modality: Modality
    sources: SourceList
    store: WindowStore
    splits: list[Split]
    leaks: list[Leaks] = field(default_factory=list)


def prepare(settings: Settings, voice: Voice) -> Prepared:
    """Read, window and split the data of a recipe, through the cache."""
    from .data.questions import ranks
    from .data.sources import resolve_sources
    from .data.splits import make_splits
    from .data.store import WindowStore

    data = settings.recipe.data
    sources = resolve_sources(settings.modality, data)
    asked = f", task {sources.task.name}" if sources.task else ""
    voice.step(f"data {sources.name}: {len(sources)} recordings{asked}")
    modality = settings.modality.fitted(sources.sources)
    with voice.counting("reading") as progress:
        store = WindowStore.prepare(modality, sources, sources.task, data.cache, data.jobs, progress)
    splits = make_splits(store, settings.recipe.split, sources.folds)
    voice.step(
        f"{len(store)} windows of {len(store.subjects)} subjects, {splits[0].kind} split by {splits[0].group}"
        + (f", {len(splits)} folds" if len(splits) > 1 else "")
        + _about_skipped(store.skipped)
    )
    leaks = modality.leaks(sources.sources) if ranks(store) else []
    return Prepared(modality, sources, store, splits, leaks)


def _about_skipped(skipped: Sequence[Skipped]) -> str:
    """How many, and of the first one why; the report lists all."""
    if not skipped:
        return ""
    return f", {len(skipped)} recordings skipped ({skipped[0].record}: {skipped[0].reason})"
