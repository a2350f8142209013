from .config import read_config as read_config
from .convert import convert_model as convert_model
from .models import build_model as build_model
from .weights import load_checkpoint as load_checkpoint
from .weights import mmdet_state_dict as mmdet_state_dict
