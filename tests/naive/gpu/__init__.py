"""GPU sharing and its placing policies, one node and one pod at a time, in the words of the artifact of FGD."""
