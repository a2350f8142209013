from .config import read_config as read_config
from .convert import convert_model as convert_model
from .models import build_model as build_model
from .weights import load_weights as load_weights
from .weights import save_weights as save_weights
