"""Pseudo ground truth: candidate segments ranked, selected and merged with annotations."""
