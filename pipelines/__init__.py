"""The DVC stages: one module each, composing `ggn`; `stage.py` is all that they share."""
