"""The specimen localiser: its network, its data, its training and how it is measured."""
