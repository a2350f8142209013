from .evaluator import evaluate as evaluate
from .evaluator import evaluate_partitions as evaluate_partitions
from .params import EvaluationParams as EvaluationParams
