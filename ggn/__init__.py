"""Open-world instance segmentation: pseudo ground truth from a learned pairwise affinity."""
