"""What a run of the kit found, as a table."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from .checks import Outcome

_SIGNS = {"passed": "ok", "failed": "FAILED", "expected": "as declared", "unexpected": "FAILED", "skipped": "-"}


@dataclass(frozen=True)
class Report:
    """Outcomes of all checks of one adapter; `print(report)` shows them as a table."""

    modality: str
    outcomes: tuple[Outcome, ...]

    @property
    def failures(self) -> tuple[Outcome, ...]:
        """Checks that failed undeclared, or passed although declared to fail."""
        return tuple(o for o in self.outcomes if o.state in ("failed", "unexpected"))

    @property
    def ok(self) -> bool:
        return not self.failures

    def __str__(self) -> str:
        width = max((len(o.name) for o in self.outcomes), default=0)
        lines, theme = [], ""
        for outcome in self.outcomes:
            if outcome.theme != theme:
                theme = outcome.theme
                lines.append(theme)
            lines.append(f"  {outcome.name:{width}}  {_SIGNS[outcome.state]:11}  {outcome.message}".rstrip())
        return "\n".join([*lines, self.summary()])

    def summary(self) -> str:
        """One line: how many checks ended how."""
        counts = Counter(o.state for o in self.outcomes)
        parts = [f"{counts[state]} {state}" for state in _SIGNS if counts[state]]
        return f"{self.modality}: {len(self.outcomes)} checks, {', '.join(parts)}"

    def complaint(self) -> str:
        """The failures, one a line."""
        lines = [f"  {o.name}: {o.message}" for o in self.failures]
        return "\n".join([f"modality {self.modality} fails {len(lines)} of {len(self.outcomes)} checks", *lines])
