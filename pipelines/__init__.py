"""The DVC stages: one module each, composing `ggn`; `stage.py` is all that they share."""

import os

# Results must not depend on the number of cores: each process computes with one thread, and where
# there is more to do, there are more processes. Read when NumPy and torch are loaded, hence here.
for _library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{_library}_NUM_THREADS"] = "1"
