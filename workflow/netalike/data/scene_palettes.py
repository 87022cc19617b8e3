"""Colour palettes of generated scenes: one "city" each."""

from __future__ import annotations

from dataclasses import dataclass

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Palette:
    """The colours of one city, as red, green and blue from 0 to 255.

    Attributes
    ----------
    name : str
    lush, dry, bare : Colour
        The three grounds that are mixed: watered grass, dry grass or crops, and bare soil.
    asphalt, verge : Colour
        Of roads and of what lines them.
    roofs : tuple of Colour
        Pitched roofs, drawn with equal chances.
    flat_roofs : tuple of Colour
    trees : tuple of Colour
    pitched : float
        Share of roofs that are pitched.
    greenery : float
        Trees per building.
    """

    name: str
    lush: Colour
    dry: Colour
    bare: Colour
    asphalt: Colour
    verge: Colour
    roofs: tuple[Colour, ...]
    flat_roofs: tuple[Colour, ...]
    trees: tuple[Colour, ...]
    pitched: float
    greenery: float


PALETTES = {
    palette.name: palette
    for palette in (
        Palette(
            name="temperate",
            lush=(86, 104, 62),
            dry=(120, 124, 82),
            bare=(140, 126, 102),
            asphalt=(122, 122, 124),
            verge=(158, 155, 148),
            roofs=((148, 84, 66), (126, 72, 60), (110, 98, 92), (92, 90, 94), (164, 108, 84)),
            flat_roofs=((168, 166, 164), (140, 140, 144), (112, 112, 116)),
            trees=((50, 70, 40), (62, 82, 46), (44, 60, 40)),
            pitched=0.85,
            greenery=3.0,
        ),
        Palette(
            name="arid",
            lush=(124, 122, 84),
            dry=(172, 154, 120),
            bare=(194, 172, 138),
            asphalt=(140, 134, 128),
            verge=(186, 172, 150),
            roofs=((188, 158, 130), (170, 122, 96), (204, 188, 166), (146, 118, 100)),
            flat_roofs=((222, 214, 200), (204, 194, 176), (186, 176, 160), (232, 230, 226)),
            trees=((78, 88, 56), (92, 98, 62)),
            pitched=0.35,
            greenery=1.0,
        ),
        Palette(
            name="suburb",
            lush=(98, 118, 72),
            dry=(128, 132, 92),
            bare=(150, 140, 120),
            asphalt=(138, 138, 140),
            verge=(180, 178, 174),
            roofs=((116, 108, 102), (136, 126, 116), (96, 92, 92), (150, 136, 120), (106, 98, 88)),
            flat_roofs=((206, 206, 204), (176, 176, 176)),
            trees=((56, 78, 44), (72, 92, 52), (84, 92, 54), (48, 66, 42)),
            pitched=0.95,
            greenery=3.5,
        ),
        Palette(
            name="monsoon",
            lush=(84, 100, 66),
            dry=(138, 132, 96),
            bare=(164, 142, 112),
            asphalt=(148, 142, 134),
            verge=(172, 158, 138),
            roofs=((120, 150, 168), (158, 92, 74), (134, 138, 142), (104, 132, 112)),
            flat_roofs=((188, 180, 170), (160, 152, 144), (210, 204, 196), (146, 132, 120), (176, 140, 118)),
            trees=((48, 66, 42), (60, 78, 46)),
            pitched=0.3,
            greenery=1.8,
        ),
        Palette(
            name="alpine",
            lush=(104, 128, 74),
            dry=(126, 138, 86),
            bare=(146, 138, 120),
            asphalt=(118, 120, 124),
            verge=(150, 150, 142),
            roofs=((120, 74, 58), (98, 82, 74), (84, 84, 90), (138, 96, 76), (110, 62, 52)),
            flat_roofs=((150, 150, 152), (126, 128, 130)),
            trees=((36, 56, 38), (44, 64, 42), (54, 74, 46)),
            pitched=0.95,
            greenery=2.5,
        ),
    )
}
