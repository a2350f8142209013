"""What both trainings share around Lightning: backbone, optimiser, trainer, weights on disk."""
