"""From a list of image URLs, or a folder of photos, to a training set one can trust (extra `dataset`).

One folder, the workspace, holds a data set while it is made (`workspace`); one table, the manifest, says of every row
of the list what became of it (`manifest`). The stages read the table of the stage before and write their own:

    filter ─▶ download ─▶ check ─▶ balance ─▶ split ─▶ prepare ─▶ manifest.parquet, croissant.json, report.html

`run` does them all; each also runs alone, resumes where it was killed, and takes a shard of its work.
"""
