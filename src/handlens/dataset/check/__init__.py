"""The stage `check`: every downloaded photo is looked at once, compared with all others, and kept or set aside.

inspect, scores, text       one photo: can it be read, how sharp, bright, even is it, how much of it is print
looks, hash_index, near     near-duplicates: 128-bit hashes, an index over them, and thumbnails that confirm
clusters, decide            groups that no split may part, duplicates, conflicts of labels, flags, status
journal, workers            inspected once, in several processes, resumed where a run was killed
quarantine                  images_odd/ with reasons.csv
stage, summary, findings    the stage itself, what it counts, and what a report shows
"""

from handlens.dataset.check.findings import Conflict, Findings, Repeated, findings
from handlens.dataset.check.settings import CheckSettings
from handlens.dataset.check.stage import check
from handlens.dataset.check.summary import CheckSummary

__all__ = ["CheckSettings", "CheckSummary", "Conflict", "Findings", "Repeated", "check", "findings"]
