from .mask_rcnn import MaskRCNN as MaskRCNN
from .params import DetectorParams as DetectorParams
from .predict import Detector as Detector
from .predict import load_detector as load_detector
from .train import train_detector as train_detector
