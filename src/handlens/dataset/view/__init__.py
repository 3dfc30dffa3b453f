"""A report of a data set: one HTML file that opens offline, for looking at what one trains from."""

from handlens.dataset.view.report import view
from handlens.dataset.view.settings import ViewSettings

__all__ = ["ViewSettings", "view"]
