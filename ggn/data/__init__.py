"""Datasets: categories and splits, image files, the synthetic dataset, samples for training."""
