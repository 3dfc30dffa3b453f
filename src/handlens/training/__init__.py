"""From labelled photos to a trained run and a bundle. Needs the extra `train`."""
