"""Convert imported observations to a game's frames, or refuse them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from understudy.suite.errors import InputError
from understudy.suite.protocols import Game

NATIVE_SHAPE = (210, 160)  # of the Atari's screen, rows and columns
# Weights of red, green and blue. Source: Recommendation ITU-R BT.601.
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


class Conversion(NamedTuple):
    """Converts observations to frames."""

    frames: Callable[[np.ndarray], np.ndarray]  # [n, *shape] -> [n, *game.frame_shape] of the game's dtype
    lacks: tuple[str, ...]  # what the conversion loses, one text each


def conversion(game: Game, space: Mapping[str, Any], where: object) -> Conversion:
    """Return the conversion of a Gymnasium space's observations to the game's frames.

    Args:
        game: whose frames are wanted.
        space: a Box (`shape`, `dtype`) or a Discrete (`n`, `start`), as Minari writes it.
        where: file, for messages.

    Raises InputError if there is no conversion.
    """
    kind, shape, dtype = space.get("type"), space.get("shape"), space.get("dtype")
    if kind == "Discrete" and not game.frame_shape and space.get("start") == 0:
        return Conversion(_numbers(game, where), ())
    if kind == "Box" and isinstance(shape, list):
        found = _box(game, tuple(shape), str(dtype), where)
        if found:
            return found
    shown = f"{dtype} {shape}" if kind == "Box" else f"{kind} of {space.get('n', 'several parts')}"
    raise InputError(
        f"{where}: observations are {shown}; {game.name} takes {game.observation_dtype} "
        f"{list(game.frame_shape)}{_also(game)}; is it the right game?"
    )


def grey_84(screens: np.ndarray) -> np.ndarray:
    """Convert native screens, grey [n, 210, 160] or RGB [n, 210, 160, 3], to uint8 [n, 84, 84].

    RGB becomes luma; each new pixel is the mean over the area that it covers, as in ale-py's vector
    environment (OpenCV's INTER_AREA).
    """
    grey = screens.astype(np.float32)
    if grey.ndim == 4:
        grey = np.rint(grey @ LUMA)  # [n, 210, 160]
    rows, columns = (_area_weights(size, 84) for size in NATIVE_SHAPE)
    scaled = rows @ grey @ columns.T  # [n, 84, 84]
    pixels: np.ndarray = np.rint(scaled).clip(0, 255).astype(np.uint8)
    return pixels


def _box(game: Game, shape: tuple[int, ...], dtype: str, where: object) -> Conversion | None:
    if not game.frame_shape and shape in ((), (1,)) and np.dtype(dtype).kind in "iu":
        return Conversion(_numbers(game, where), ())
    if game.family == "minatar":  # always channels last, as in the package
        return _minatar(game, shape[2], where) if shape[:2] == game.frame_shape[1:] and shape[2:] else None
    if shape == game.frame_shape and dtype == game.observation_dtype:
        return Conversion(lambda found: found, ())
    return _atari(game, shape) if game.family == "atari" and dtype == "uint8" else None


def _atari(game: Game, shape: tuple[int, ...]) -> Conversion | None:
    height, width = game.frame_shape
    stacked = "several frames an observation: only the newest is kept"
    if shape in ((height, width, 1), (1, height, width)):
        return Conversion(lambda found: found.reshape(len(found), height, width), ())
    if shape == (game.stacked_frames, height, width):
        return Conversion(lambda found: found[:, -1], (stacked,))
    if shape == (height, width, game.stacked_frames):
        return Conversion(lambda found: found[..., -1], (stacked,))
    if shape in (NATIVE_SHAPE, (*NATIVE_SHAPE, 1), (*NATIVE_SHAPE, 3)):
        native = "screens of 210x160 are made grey and scaled to 84x84: not the pixels that a game here shows"
        squeezed = (-1, *NATIVE_SHAPE) if shape[2:] != (3,) else (-1, *shape)
        return Conversion(lambda found: grey_84(found.reshape(squeezed)), (native,))
    return None


def _minatar(game: Game, channels: int, where: object) -> Conversion | None:
    """Return the conversion that moves the channels first and pads them with empty ones."""
    if channels not in (game.shown_planes, game.frame_shape[0]):
        return None  # another game's

    def frames(found: np.ndarray) -> np.ndarray:
        if not np.isin(found, (0, 1)).all():
            raise InputError(
                f"{where}: observations hold other numbers than 0 and 1; is the game {game.name}?"
            )
        padded = np.zeros((len(found), *game.frame_shape), bool)
        padded[:, :channels] = np.moveaxis(found, 3, 1)
        return padded

    return Conversion(frames, ())


def _numbers(game: Game, where: object) -> Callable[[np.ndarray], np.ndarray]:
    """Return the conversion for games whose observation is one number."""

    def frames(found: np.ndarray) -> np.ndarray:
        numbers = found.reshape(len(found))
        for value in numbers[(numbers < 0) | (numbers >= game.observation_values)][:1]:
            raise InputError(
                f"{where}: observation {value}, expected 0 to {game.observation_values - 1} for {game.name}"
            )
        return numbers.astype(game.observation_dtype)

    return frames


def _also(game: Game) -> str:
    if game.family == "atari":
        return ", stacks of 4, or screens of 210x160"
    if game.family == "minatar":
        return f" with channels last, or the package's {game.shown_planes} channels"
    return ""


def _area_weights(size: int, new_size: int) -> np.ndarray:
    """Return the weight of each old pixel in each new pixel's mean, float32 [new_size, size]."""
    edges = np.arange(new_size + 1) * size / new_size
    old = np.arange(size)
    overlap = np.minimum(edges[1:, None], old + 1) - np.maximum(edges[:-1, None], old)  # [new_size, size]
    return (overlap.clip(0) * new_size / size).astype(np.float32)
