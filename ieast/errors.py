"""Errors a user can act on: each message says what was wrong, where, and what to do."""


class IeastError(Exception):
    """Base of every error that the user, not the code, can mend."""


class ConfigError(IeastError):
    """A setting is unknown, contradictory or out of range."""


class ImageError(IeastError):
    """A picture cannot be read, or is not fit for the use at hand."""


class UnknownStyleError(ImageError, ValueError):
    """A model that knows the styles it was trained on is given another."""


class TooManyPixelsError(ImageError):
    """A picture has more pixels than are read or stylized."""


class OutputError(IeastError):
    """A file cannot be written where it was asked for."""


class VideoError(IeastError):
    """A video cannot be read or written, or is not fit for the use at hand."""


class MemoryLimitError(IeastError):
    """A picture needs more memory than there is."""


class NumericsError(IeastError):
    """A computation with a picture's features does not converge or is not finite."""


class DataError(IeastError):
    """A dataset, a revision of it or a remote is missing or unusable."""


class WeightsError(IeastError):
    """Pretrained weights are missing, or do not fit the network or each other."""


class TrainingError(IeastError):
    """Training cannot go on; the last good checkpoint is kept."""


class InterruptedTrainingError(TrainingError):
    """Training was asked to stop and left a checkpoint from which it continues."""


class RegistryError(IeastError):
    """A registered model, version or alias is missing or cannot be used."""


class PipelineError(IeastError):
    """A pipeline ended without all that it was to make; what it made is kept."""


class StudyError(IeastError):
    """A user study, or the benchmark it is made from, is incomplete, in use or unusable."""
