"""The DVC stages: one module each, composing `ggn`; `stage.py` is all that they share."""

import os

# Threads that wait sleep instead of spinning: on a machine that others use too, spinning makes a
# training of small networks several times slower. Read when torch is loaded, hence here.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
