"""Pseudo ground truth: candidate segments stored, ranked, selected and merged with annotations."""
