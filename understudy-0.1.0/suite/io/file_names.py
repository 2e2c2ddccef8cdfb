"""Names of files that several parts of the project read or write; each is written here once."""

from __future__ import annotations

from typing import Final

HISTORY: Final = "history.parquet"  # the log of a run, in the run's folder
NETWORK_AT_W: Final = "network_at_w.safetensors"  # a teacher's network at move W, beside its history
HISTORIES: Final = "histories.zip"  # the runs of a benchmark in a data folder, packed
CHECKPOINT: Final = "checkpoint.safetensors"  # all that a finished teacher has learned, beside its history
LOCK: Final = ".lock"  # in a folder, while a process writes there
CARD: Final = "README.md"  # of a submission or a data set on the Hub
CONFIG: Final = "config.json"  # settings of a checkpoint's model, in its folder of a submission
WEIGHTS: Final = "model.safetensors"  # its tensors, beside them
TRAINING_LOG: Final = "training.csv"  # losses of a training, in the submission's folder
TRAINING_PICTURE: Final = "training.svg"  # of the log, beside it
