"""Stores of instances, one row per image: written by any number of workers, read image by image."""
