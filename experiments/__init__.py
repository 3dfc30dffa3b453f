"""Ideas tried on the way to a better model; docs/experiments.md has what came of each."""
