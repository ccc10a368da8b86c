"""ICC profiles made by hand, and what they mean by their definition."""

import struct

import numpy as np

WHITE = (0.9642, 1.0, 0.8249)
"""D50, to which profiles are related."""

SRGB = np.array([[0.4360, 0.3851, 0.1431], [0.2225, 0.7169, 0.0606], [0.0139, 0.0971, 0.7141]])
"""XYZ of red, green and blue as columns, adapted to D50."""
DISPLAY_P3 = np.array([[0.5151, 0.2920, 0.1571], [0.2412, 0.6922, 0.0666], [-0.0011, 0.0419, 0.7841]])


def profile(space: bytes, tags: dict[bytes, bytes], *, kind: bytes = b"mntr", connection: bytes = b"XYZ ") -> bytes:
    """A version 2 profile for samples in `space`."""
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        padded = data + bytes(-len(data) % 4)
        table += name + struct.pack(">II", start + len(body), len(padded))
        body += padded
    header = struct.pack(">I4sI4s4s4s", start + len(body), b"lcms", 0x02100000, kind, space, connection)
    header += struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    header += _numbers(WHITE)
    return header + bytes(128 - len(header)) + table + body


def rgb_profile(primaries: np.ndarray, gamma: float, name: str = "test") -> bytes:
    curves = {channel + b"TRC": _gamma(gamma) for channel in (b"r", b"g", b"b")}
    columns = {channel + b"XYZ": _xyz(primaries[:, place]) for place, channel in enumerate((b"r", b"g", b"b"))}
    return profile(b"RGB ", {b"desc": description(name), b"wtpt": _xyz(WHITE), **columns, **curves})


def grey_profile(gamma: float) -> bytes:
    return profile(b"GRAY", {b"desc": description("test"), b"wtpt": _xyz(WHITE), b"kTRC": _gamma(gamma)})


def description(name: str) -> bytes:
    text = name.encode() + b"\0"
    return b"desc" + bytes(4) + struct.pack(">I", len(text)) + text + bytes(78)


def seen(samples: np.ndarray, gamma: float, primaries: np.ndarray = SRGB) -> np.ndarray:
    """Levels of sRGB, not rounded, that samples from 0 to 1 of shape (..., 3) mean, or of any shape where they are grey."""
    light = samples**gamma
    if primaries is not SRGB:
        light = light @ (np.linalg.inv(SRGB) @ primaries).T
    light = light.clip(0, 1)
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def _numbers(values) -> bytes:
    return struct.pack(">3i", *(round(value * 65536) for value in values))


def _xyz(values) -> bytes:
    return b"XYZ " + bytes(4) + _numbers(values)


def _gamma(value: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(value * 256))
