"""Photos with rights from Wikimedia Commons: `handlens dataset commons`.

settings    what to ask for, and how politely
client      the MediaWiki action API: one request at a time, continuation, `maxlag`, errors
categories  the category trees of a mineral and its synonyms
rules       what file names and categories give away: diagrams, maps, cut gems, ...
photos      an answer of the API read into a photo with its rights, or the reason to leave it out
journal     what is known of each label already, so that a run that was killed goes on
fetch       all of it: labels in, a list with rights out
"""

from __future__ import annotations

from handlens.dataset.commons.errors import CommonsError
from handlens.dataset.commons.fetch import CommonsSummary, LabelSummary, fetch_commons
from handlens.dataset.commons.settings import CommonsSettings

__all__ = ["CommonsError", "CommonsSettings", "CommonsSummary", "LabelSummary", "fetch_commons"]
