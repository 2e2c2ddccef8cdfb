"""Draw moves of a run: the frame before each move, and a caption with move, episode, points and action."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from understudy.suite.errors import InputError
from understudy.suite.histories.frame_store import FrameStore
from understudy.suite.histories.history_format import History
from understudy.suite.protocols import Game

SCREEN_PIXELS = 84  # height of a frame at scale 1; smaller grids get larger cells
READ_MOVES = 256  # frames read from the store at once
# Seven colours that stay distinct under common colour blindness, then white, grey and pink for more channels.
# Source: Okabe and Ito, Color universal design (2008), https://jfly.uni-koeln.de/color/
PALETTE = np.array(
    [
        (86, 180, 233),  # sky blue
        (230, 159, 0),  # orange
        (240, 228, 66),  # yellow
        (0, 158, 115),  # bluish green
        (213, 94, 0),  # vermilion
        (204, 121, 167),  # reddish purple
        (0, 114, 178),  # blue
        (255, 255, 255),
        (153, 153, 153),
        (255, 183, 197),
    ],
    np.uint8,
)
SKY_BLUE, ORANGE, GREEN = (tuple(PALETTE[i].tolist()) for i in (0, 1, 3))
BACKGROUND, LINES, TEXT = (24, 24, 24), (52, 52, 52), (255, 255, 255)
COLOURS = np.concatenate([PALETTE, np.array([BACKGROUND, LINES], np.uint8)])  # all but greys


@dataclass(frozen=True)
class Caption:
    """The text under a frame."""

    left: str
    right: str
    explored: bool


def pictures(
    history: History, store: FrameStore, start: int, stop: int, scale: int = 4
) -> Iterator[np.ndarray]:
    """Yield a picture of each of the moves [start, stop): uint8 [height, width, 3], all of one even size.

    A picture shows the newest frame before the move: a screen in grey, channels in one colour each, a cell's
    number as a position in a grid, with the episode's first cell and the goal. The caption gives the move
    (counted from 0), its episode (counted from 1), the points of the episode so far, and the action.

    Args:
        history: the run.
        store: with its frames from `first_frame(history, start)` to `stop`.
        start: the first move.
        stop: the move after the last.
        scale: picture pixels per pixel of a frame 84 high.

    Raises:
        InputError: frames of this shape can't be drawn.
    """
    captions = _captions(history, store.game, start, stop)
    strip = _Strip(captions, scale)
    first_frames = _episode_starts(history)
    for begin in range(start, stop, READ_MOVES):
        end = min(begin + READ_MOVES, stop)
        for move, frame in enumerate(store[begin:end], begin):
            if store.game.frame_shape == ():
                episode_start = int(first_frames[move])
                began = int(store[episode_start : episode_start + 1][0])
                drawn = _cells(store.game, int(frame), began, scale)
            else:
                drawn = _drawn(frame, store.game, scale)
            yield strip.under(drawn, captions[move - start])


def first_frame(history: History, start: int) -> int:
    """Return the first move whose frame a picture of move `start` needs: the first of its episode."""
    return int(_episode_starts(history)[start])


def _episode_starts(history: History) -> np.ndarray:
    """Return the first move of each move's episode, int64 [n]."""
    starts: np.ndarray = np.maximum.accumulate(np.where(history.first, np.arange(history.num_moves), 0))
    return starts


def _captions(history: History, game: Game, start: int, stop: int) -> list[Caption]:
    episodes = np.cumsum(history.first)
    before = np.cumsum(history.reward, dtype=np.float64) - history.reward  # points in the run before a move
    points = before - before[_episode_starts(history)]
    names = game.action_names or tuple(str(action) for action in range(game.num_actions))
    return [
        Caption(
            left=f"move {move:,}\nepisode {episodes[move]:,}",
            right=f"{points[move]:g} point{'' if points[move] == 1 else 's'}\n{names[history.action[move]]}",
            explored=bool(history.explored[move]),
        )
        for move in range(start, stop)
    ]


def _drawn(frame: np.ndarray, game: Game, scale: int) -> np.ndarray:
    """Return a frame [*frame_shape] with at least one axis as a picture, uint8 [height, width, 3]."""
    top = game.observation_values - 1  # the largest value
    if frame.ndim == 3:
        return _enlarged(_channels(frame, top), scale)
    if frame.ndim == 1:
        frame = frame[None]
    if frame.ndim != 2:
        raise InputError(
            f"{game.name}: frames of shape {list(game.frame_shape)} can't be drawn; expected a number, "
            "[width], [height, width] or [channels, height, width]"
        )
    grey = (frame.astype(np.float32) * (255 / top)).astype(np.uint8)
    return _enlarged(np.repeat(grey[..., None], 3, axis=2), scale)


def _channels(frame: np.ndarray, top: int) -> np.ndarray:
    """Return [C, H, W] as [H, W, 3]: each cell in the colour of its last non-zero channel."""
    picture = np.full((*frame.shape[1:], 3), BACKGROUND, np.uint8)
    for index, channel in enumerate(frame):
        shown = channel > 0
        picture[shown] = PALETTE[index % len(PALETTE)] * (channel[shown, None] / top)
    return picture


def _enlarged(picture: np.ndarray, scale: int) -> np.ndarray:
    """Return [H, W, 3] enlarged to square cells, with lines between large ones."""
    cell = _cell_pixels(picture.shape[0], scale)
    large = picture.repeat(cell, axis=0).repeat(cell, axis=1)
    if cell >= 8:
        large[::cell] = large[:, ::cell] = LINES
    return large


def _cell_pixels(rows: int, scale: int) -> int:
    return max(1, scale * SCREEN_PIXELS // max(rows, 1))


def _cells(game: Game, cell: int, began: int, scale: int) -> np.ndarray:
    """Draw a grid of `observation_values` cells with the current cell, the episode's first, and the goal."""
    side = math.isqrt(game.observation_values - 1) + 1
    size = _cell_pixels(side, scale)
    picture = _enlarged(np.full((side, side, 3), BACKGROUND, np.uint8), scale)

    def paint(number: int, margin: int, colour: tuple[int, ...]) -> None:
        row, column = divmod(number, side)
        rows, columns = (slice(at * size + 1 + margin, (at + 1) * size - margin) for at in (row, column))
        picture[rows, columns] = colour

    goal = game.fingerprint.get("goal")
    if isinstance(goal, int) and 0 <= goal < game.observation_values:
        paint(goal, 0, GREEN)
    inside = picture[began // side * size + size // 2, began % side * size + size // 2].tolist()
    paint(began, size // 10, SKY_BLUE)
    paint(began, size // 10 + max(1, size // 12), tuple(inside))
    paint(cell, size // 4, ORANGE)
    return picture


class _Strip:
    """Draws captions under pictures, all in the same layout."""

    def __init__(self, captions: list[Caption], scale: int) -> None:
        self._font = ImageFont.load_default(max(11, 4 * scale))
        self._margin = max(4, scale)
        canvas = ImageDraw.Draw(Image.new("RGB", (1, 1)))
        explored = [Caption(c.left, f"{c.right}  explored", True) for c in captions]
        boxes = [
            [canvas.textbbox((0, 0), text, font=self._font) for text in {getattr(c, side) for c in explored}]
            for side in ("left", "right")
        ]
        widths = [max(box[2] for box in column) for column in boxes]
        self._second = math.ceil(widths[0]) + 4 * self._margin  # where the second column begins
        self._width = self._second + math.ceil(widths[1]) + self._margin
        self._height = math.ceil(max(box[3] for column in boxes for box in column)) + 2 * self._margin

    def under(self, picture: np.ndarray, caption: Caption) -> np.ndarray:
        """Return the picture, centred, with a caption below; both sides are even, as MP4 needs."""
        height, width, _ = picture.shape
        full_width = max(width, self._width)
        full_width, full_height = full_width + full_width % 2, height + self._height
        image = Image.new("RGB", (full_width, full_height + full_height % 2))
        image.paste(Image.fromarray(picture), ((full_width - width) // 2, 0))
        draw = ImageDraw.Draw(image)
        second = max(self._second, full_width // 2)
        if second + self._width - self._second > full_width:
            second = self._second
        y = height + self._margin
        draw.text((self._margin, y), caption.left, TEXT, self._font)
        draw.text((second, y), caption.right, TEXT, self._font)
        if caption.explored:
            above, name = caption.right.split("\n")
            line = draw.textbbox((second, y), f"{above}\nX", font=self._font)
            x = second + draw.textlength(f"{name}  ", self._font)
            draw.text((x, line[3]), "explored", ORANGE, self._font, anchor="ls")
        return np.asarray(image)
