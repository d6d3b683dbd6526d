"""omnipatch.core.report: one self-contained page that answers the user's question with pictures.

`collect` keeps what a page needs of a finished run in `report.npz`; `write_report` draws the page from the run folder
alone, so it can be drawn again at any time.
"""

from .material import collect
from .page import write_report

__all__ = ["collect", "write_report"]
