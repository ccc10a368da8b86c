"""Stylizing video files and folders of frames."""

from ieast.io.video.reading import VIDEO_SUFFIXES, ClipInfo, probe, read_video_frames
from ieast.io.video.stylizing import ClipResult, stylize_clip
from ieast.io.video.writing import TARGETS

__all__ = ["TARGETS", "VIDEO_SUFFIXES", "ClipInfo", "ClipResult", "probe", "read_video_frames", "stylize_clip"]
