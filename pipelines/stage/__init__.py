"""What every stage shares: params, resume folder, one tracked run, a command line."""

from pipelines.stage.command import Runner, Shard, Shards, run_stage
from pipelines.stage.params import SECTIONS, ParamsError, load_params, params_model, read_params
from pipelines.stage.processes import count_gpus, is_main_process, predicting_device
from pipelines.stage.run import NO_NETWORK, Stage, open_stage

__all__ = [
    "NO_NETWORK",
    "SECTIONS",
    "ParamsError",
    "Runner",
    "Shard",
    "Shards",
    "Stage",
    "count_gpus",
    "is_main_process",
    "load_params",
    "open_stage",
    "params_model",
    "predicting_device",
    "read_params",
    "run_stage",
]
