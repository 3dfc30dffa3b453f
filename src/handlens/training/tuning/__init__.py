"""Training the last blocks of a transformer from kept tokens: `handlens train --method tune`."""
