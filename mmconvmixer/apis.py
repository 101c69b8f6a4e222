def get_model():pass
inference_model=list_models=Predictor=None
