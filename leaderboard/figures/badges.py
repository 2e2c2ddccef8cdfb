"""Badges: a row's answer to one question as a small SVG picture that needs nothing else.

The words say everything; colour and sign only repeat the answer. Equal arguments give equal bytes.
"""

from __future__ import annotations

import unicodedata
from typing import Final

from understudy.suite import escaping
from understudy.suite.scoring import verdicts

HEIGHT: Final = 20  # px, as all units here
FONTS: Final = "DejaVu Sans Mono,Menlo,Consolas,monospace"
FONT_SIZE: Final = 11
LETTER: Final = 6.6  # width of a letter, 0.6 of the font's size in fonts of one width; `textLength` holds it
PADDING: Final = 6
SIGN: Final = 14  # width of the sign
LEFT_COLOUR: Final = "#222222"

# White text has a contrast of at least 5 : 1 on each. Blue and vermilion are Okabe and Ito's (2008), darker.
COLOURS: Final = {
    verdicts.YES: "#005A8C",
    verdicts.YES_UNVERIFIED: "#005A8C",
    verdicts.YES_NOT_RETRAINED: "#005A8C",
    verdicts.ABOVE: "#005A8C",
    verdicts.PARTIAL: "#00664F",
    verdicts.NO: "#9A3D00",
}
UNKNOWN_COLOUR: Final = "#595959"  # undecided, or no verdict

# Paths in a square of 10 x 10.
TICK: Final = '<path d="M1 5.5 4 8.5 9 2" fill="none" stroke="#fff" stroke-width="1.8"/>'
CROSS: Final = '<path d="M2 2 8 8M8 2 2 8" fill="none" stroke="#fff" stroke-width="1.8"/>'
HALF: Final = (
    '<circle cx="5" cy="5" r="4" fill="none" stroke="#fff" stroke-width="1.4"/>'
    '<path d="M5 1a4 4 0 0 0 0 8z" fill="#fff"/>'
)
RING: Final = (
    '<circle cx="5" cy="5" r="4" fill="none" stroke="#fff" stroke-width="1.4" stroke-dasharray="2 1.6"/>'
)
SIGNS: Final = {
    verdicts.YES: TICK,
    verdicts.ABOVE: TICK,
    verdicts.PARTIAL: HALF,
    verdicts.NO: CROSS,
}


def badge(subject: str, text: str, answer: str | None) -> str:
    """Return a badge as SVG.

    Args:
        subject: what was asked, on the left, e.g. `understudy Q3 darkroom-v1 full`.
        text: the answer with its number, on the right, e.g. `yes 0.78 [0.72, 0.84]`.
        answer: which chooses colour and sign; None: no verdict.
    """
    left, right = (_width(each) for each in (subject, text))
    begin = left + 2 * PADDING  # of the right part
    width = begin + SIGN + right + 2 * PADDING
    colour = UNKNOWN_COLOUR if answer is None else COLOURS.get(answer, UNKNOWN_COLOUR)
    sign = RING if answer is None else SIGNS.get(answer, RING)
    said = escaping.html(f"{subject}: {text}")
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.1f}" height="{HEIGHT}" role="img" '
            f'aria-label="{said}">',
            f"<title>{said}</title>",
            f'<rect width="{begin:.1f}" height="{HEIGHT}" fill="{LEFT_COLOUR}"/>',
            f'<rect x="{begin:.1f}" width="{width - begin:.1f}" height="{HEIGHT}" fill="{colour}"/>',
            f'<g transform="translate({begin + PADDING:.1f} 5)">{sign}</g>',
            f'<g fill="#fff" font-family="{FONTS}" font-size="{FONT_SIZE}">',
            _text(PADDING, left, subject),
            _text(begin + PADDING + SIGN, right, text),
            "</g>",
            "</svg>",
            "",
        ]
    )


def _text(x: float, width: float, text: str) -> str:
    return (
        f'<text x="{x:.1f}" y="14" textLength="{width:.1f}" xml:space="preserve">{escaping.html(text)}</text>'
    )


def _width(text: str) -> float:
    """Return the width of a text as it is shown; wide letters take the place of two."""
    shown = escaping.terminal(" ".join(text.split()))
    return LETTER * sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in shown)
