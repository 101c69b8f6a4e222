"""The functions a user calls: train, evaluate, predict, publish and verify."""
from mmconvmixer.apis.inference import inference_model
from mmconvmixer.apis.predictor import Predictor
from mmconvmixer.zoo import get_model, list_models

__all__ = ['Predictor', 'get_model', 'inference_model', 'list_models']
