"""Encode pictures as a GIF or WebP by Pillow, or as an MP4 by PyAV."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from understudy.suite.errors import InputError
from understudy.suite.histories.move_images import COLOURS, ORANGE

SUFFIXES = (".gif", ".mp4", ".webp")
GIF_COLOURS = 256


def require_suffix(path: Path) -> str:
    """Return a file name's suffix; raise InputError if it isn't one of SUFFIXES, or needs PyAV."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{path}: expected a name ending in {', '.join(SUFFIXES)}; found {path.suffix!r}")
    if suffix == ".mp4":
        _require_av()
    return suffix


def film(pictures: Iterable[np.ndarray], suffix: str, frames_per_second: int) -> bytes:
    """Return the bytes of a film.

    Args:
        pictures: at least one, uint8 [height, width, 3], all of the same size with even sides.
        suffix: one of SUFFIXES.
        frames_per_second: of the pictures; approximate in a GIF, whose unit is a hundredth of a second.

    Raises:
        InputError: the suffix is `.mp4` and PyAV is not installed.
    """
    if suffix == ".mp4":
        return _mp4(pictures, frames_per_second)
    sink = io.BytesIO()
    if suffix == ".gif":
        images = _with_one_palette(pictures)
        options: dict[str, Any] = {"format": "GIF", "duration": round(100 / frames_per_second) * 10}
    else:
        images = (Image.fromarray(picture) for picture in pictures)
        options = {"format": "WEBP", "duration": 1000 / frames_per_second, "lossless": True, "quality": 50}
    next(images).save(sink, save_all=True, append_images=images, loop=0, **options)
    return sink.getvalue()


def _with_one_palette(pictures: Iterable[np.ndarray]) -> Iterator[Image.Image]:
    """Yield the pictures with one palette, so that the GIF stores only what changes between them."""
    shades = np.outer(np.linspace(0.2, 1, 8), ORANGE)  # for the anti-aliased edges of orange letters
    greys = np.linspace(0, 255, GIF_COLOURS - len(COLOURS) - len(shades))[:, None].repeat(3, axis=1)
    palette = Image.new("P", (1, 1))
    palette.putpalette(np.concatenate([COLOURS, shades, greys]).round().astype(np.uint8).tobytes())
    for picture in pictures:
        yield Image.fromarray(picture).quantize(palette=palette, dither=Image.Dither.NONE)


def _mp4(pictures: Iterable[np.ndarray], frames_per_second: int) -> bytes:
    av = _require_av()
    sink = io.BytesIO()
    with av.open(sink, "w", format="mp4") as container:
        stream: Any = None
        for picture in pictures:
            if stream is None:
                stream = container.add_stream("libx264", rate=frames_per_second)
                stream.height, stream.width = picture.shape[:2]
                stream.pix_fmt = "yuv420p"  # supported by all players
                stream.options = {"crf": "18"}
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return sink.getvalue()


def _require_av() -> Any:
    try:
        import av
    except ImportError as error:
        raise InputError(
            'MP4 needs PyAV, which is not installed: pip install "understudy[video]"; or choose .gif or .webp'
        ) from error
    return av
