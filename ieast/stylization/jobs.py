"""Many pictures and clips in many styles: one job each, carried out here or by several processes, with equal results."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from ieast.config.stylization import StylizeOptions
from ieast.errors import ImageError, MemoryLimitError, NumericsError, OutputError, UnknownStyleError, VideoError
from ieast.io.images import Behind, read_image, write_image
from ieast.io.video import stylize_clip
from ieast.stylization.engine import Engine, Session
from ieast.stylization.in_order import in_order
from ieast.stylization.inputs import read_style
from ieast.stylization.loading import EngineSource

_OF_ONE_PICTURE = (ImageError, MemoryLimitError, NumericsError)


@dataclass(frozen=True)
class Job:
    """One content in one style.

    Attributes:
        content: A picture, a video file or a folder of frames.
        style: An artwork.
        target: Where the result goes: a picture, a video file or a folder of frames.
        clip: None for a picture; for a clip its identity, see `ieast.io.video.stylize_clip`.
    """

    content: Path
    style: Path
    target: Path
    clip: str | None = None


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Attributes:
        job: The job.
        seconds: What it took; encoding the style counts for the first job that needs it.
        error: Why there is no result; None where there is one.
        culprit: Which file is to blame for that: content, style or target.
    """

    job: Job
    seconds: float
    error: str | None = None
    culprit: Path | None = None


class Painter:
    """Carries out jobs one at a time; the style of one stays encoded for the next."""

    def __init__(self, engine: Engine, options: StylizeOptions, *, keep_alpha: bool = False):
        self.engine, self.options = engine, options
        self.behind: Behind | None = None if keep_alpha else "white"
        self._style: Path | None = None
        self._session: Session | str = ""

    def paint(self, job: Job) -> Outcome:
        """Write the job's result, or say why there is none; only a full disk ends the whole."""
        started = monotonic()
        session = self._opened(job.style)
        if isinstance(session, str):
            return Outcome(job, monotonic() - started, session, job.style)
        error: str | None = None
        culprit = None
        try:
            if job.clip is not None:
                stylize, memory = in_order(session.stylize, self.options.steady)
                stylize_clip(job.content, job.target, stylize, identity=job.clip, memory=memory)
            else:
                write_image(session.stylize(read_image(job.content, behind=self.behind)), job.target)
        except OutputError as failure:
            error, culprit = str(failure), job.target
        except UnknownStyleError as failure:
            error, culprit = about(job.style, failure), job.style
        except (*_OF_ONE_PICTURE, VideoError) as failure:  # one bad file among thousands must not lose the rest
            error, culprit = about(job.content, failure), job.content
        return Outcome(job, monotonic() - started, error, culprit)

    def _opened(self, style: Path) -> Session | str:
        """The model with `style` at hand, or why it cannot be used."""
        if style != self._style:
            try:
                picture = read_style(style, self.options.style_size)
                self._session = self.engine.open([picture], self.options, encode=True)
            except _OF_ONE_PICTURE as error:
                self._session = about(style, error)
            self._style = style
        return self._session


def carry_out(
    jobs: Sequence[Job],
    engine: Engine,
    options: StylizeOptions,
    *,
    keep_alpha: bool = False,
    source: EngineSource | None = None,
    processes: int = 1,
) -> Iterator[Outcome]:
    """Carry out `jobs`, those of one style after each other, and yield how each ended, in any order.

    Args:
        jobs: What is to be made, sorted by style.
        engine: The model, for one process.
        options: Options, without weights.
        keep_alpha: Whether results are as transparent as contents, which are otherwise laid on white.
        source: What the processes load the model from.
        processes: How many share the work by Ray Data, on this machine or the cluster that Ray is connected to, whose nodes
            must see the same files; 1: this one alone, without Ray.

    Raises:
        ConfigError: Ray is not installed.
        DiskFullError: No space is left for a result.
    """
    if not jobs:
        return
    if processes > 1 and source is not None:
        from ieast.stylization.ray_jobs import carry_out_by_ray

        yield from carry_out_by_ray(jobs, source, options, keep_alpha=keep_alpha, processes=processes)
        return
    painter = Painter(engine, options, keep_alpha=keep_alpha)
    for job in jobs:
        yield painter.paint(job)


def about(path: Path, error: Exception) -> str:
    """What `error` says, beginning with `path`."""
    text = str(error)
    return text if text.startswith(str(path)) else f"{path}: {text}"
