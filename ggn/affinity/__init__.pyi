from .evaluate import AffinityErrors as AffinityErrors
from .params import AffinityParams as AffinityParams
from .predict import AffinityPredictor as AffinityPredictor
from .predict import load_affinity as load_affinity
from .train import train_affinity as train_affinity
