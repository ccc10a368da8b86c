"""Cameras, and what stands in for one: a video file, or a stream's address."""

import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType

from PIL import Image

from ieast.errors import VideoError

_USUAL_RATE = Fraction(25)


class Camera:
    """A camera by its number, or a video file or stream that OpenCV reads, as upright RGB frames with their times.

    Attributes:
        frame_rate: Frames a second, as the camera says, which need not be true.
    """

    def __init__(self, source: str):
        """Open `source`: a number, as 0 for the first camera, a file's name, or an address.

        Raises:
            VideoError: There is no such camera, or it gives no pictures.
        """
        import cv2

        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # what is wrong is said below
        self.source, self._is_file = source, Path(source).is_file()
        self._capture = cv2.VideoCapture(int(source) if source.isdecimal() and not self._is_file else source)
        if not self._capture.isOpened():
            raise VideoError(self._refusal())
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # what is shown is to be what is before the camera now
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.frame_rate = Fraction(rate).limit_denominator(1001) if 0 < rate <= 1000 else _USUAL_RATE

    def frames(self) -> Iterator[tuple[float, Image.Image]]:
        """Seconds since the first frame, and the frame, until the camera gives no more.

        Those of a file are its own; a camera or stream is timed by the clock, for frames are lost while none is asked for.

        Raises:
            VideoError: There is not even one.
        """
        start, number = 0.0, 0
        while True:
            is_there, samples = self._capture.read()
            if not is_there:
                if number == 0:
                    raise VideoError(f"{self.source}: gives no pictures. See whether another program uses the camera")
                return
            now = time.monotonic()
            start = start if number else now
            yield float(number / self.frame_rate) if self._is_file else now - start, Image.fromarray(samples[:, :, ::-1].copy())
            number += 1

    def _refusal(self) -> str:
        if not self.source.isdecimal():
            return f"{self.source}: cannot be opened as a camera. Give a camera's number, a video file or a stream's address"
        there = ", ".join(sorted(path.name.removeprefix("video") for path in Path("/dev").glob("video*")))
        known = f"this machine has those numbered {there}" if there else "this machine seems to have none"
        return (
            f"camera {self.source} cannot be opened: {known}. Connect one, close what else uses it, see whether you may read "
            f"/dev/video{self.source}, or give --camera another number, a video file or a stream's address"
        )

    def __enter__(self) -> "Camera":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._capture.release()
