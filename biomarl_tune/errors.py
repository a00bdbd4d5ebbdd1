"""The exceptions of biomarl-tune.

BiomarlError                 everything below; carries the exit code of the command line
├── InputError        (2)    a file, key, value or name that cannot be used as given
│   └── RunExistsError (2)   a run of that name is there already
├── UnsafeError       (3)    refused: locked by a living run, damaged, changed spec
│   └── CheckpointError (3)  a checkpoint that is missing, damaged or foreign
├── NoUsableTrialError (4)   the search finished and no trial can be called best
├── StorageError      (5)    the disk or the database failed; what was recorded is intact
├── EngineError       (5)    the engine (Ray) cannot start or was lost
├── StoppedError  (130, 143) a signal stopped the search; it can be resumed
└── TrialError        (4)    one trial cannot go on (a non-finite metric, a broken world)

Every message names the thing, the value it got and what would do.
"""


class BiomarlError(Exception):
    """Any error that biomarl-tune raises on purpose."""

    exit_code = 1


class InputError(BiomarlError):
    """A file, key, value or name that cannot be used as given."""

    exit_code = 2


class RunExistsError(InputError):
    """A run of that name is there already."""


class UnsafeError(BiomarlError):
    """Going on would endanger what is recorded."""

    exit_code = 3


class CheckpointError(UnsafeError):
    """A checkpoint is missing, damaged or foreign."""


class NoUsableTrialError(BiomarlError):
    """The search finished and no trial can be called best."""

    exit_code = 4


class StorageError(BiomarlError):
    """The disk or the database failed; what was recorded is intact."""

    exit_code = 5


class EngineError(BiomarlError):
    """The engine cannot start or was lost."""

    exit_code = 5


class StoppedError(BiomarlError):
    """A signal stopped the search; it can be resumed.

    Args:
        message: how to go on.
        signal: the signal's number; the exit code is 128 more.
    """

    def __init__(self, message: str, signal: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal


class TrialError(BiomarlError):
    """One trial cannot go on."""

    exit_code = 4
