"""Training a network by gradient descent, from labelled photos to saved weights. Needs the extra `train`."""
