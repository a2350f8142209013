"""Average recall and precision on seen and unseen categories, under a named protocol."""

from ggn.evaluation.evaluator import evaluate, evaluate_partitions
from ggn.evaluation.params import EvaluationParams

__all__ = ["EvaluationParams", "evaluate", "evaluate_partitions"]
