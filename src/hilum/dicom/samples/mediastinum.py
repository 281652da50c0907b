"""Heart, great vessels and airways of the chest phantom, slice by slice."""

from __future__ import annotations

import numpy as np

from hilum.dicom.samples.shapes import Canvas, between, step

# Hounsfield values of tissues in a scan with contrast medium.
AIR, LUNG, FAT, WATER, MUSCLE, BLOOD, VEIN, MYOCARDIUM = -1000.0, -865.0, -105.0, 8.0, 55.0, 235.0, 260.0, 105.0
LIVER, SPLEEN, MARROW, CORTEX, CARTILAGE, DISC = 112.0, 122.0, 210.0, 880.0, 110.0, 85.0


def heart_size(z: float) -> float:
    """Return the size of the heart's section as a fraction of its largest."""
    t = (z + 48) / (50 if z > -48 else 46)
    return float(np.sqrt(max(1 - t * t, 0.0)))


def paint_heart(canvas: Canvas, z: float) -> None:
    size = heart_size(z)
    if size <= 0.05:
        return
    canvas.ellipse(20, -24, 66 * size, 50 * size, FAT + 16, angle=-0.5)
    canvas.ellipse(20, -24, 62 * size, 46 * size, MYOCARDIUM - 35, angle=-0.5)
    left = between(z, -86, -36, 14)
    canvas.ellipse(47, -20, 36 * size, 24 * size, MYOCARDIUM + 12, angle=-0.7, amount=left)
    canvas.ellipse(45, -18, 26 * size, 14.5 * size, BLOOD, angle=-0.7, amount=left)
    for dx, dy in ((8, -1), (-2, 8)):
        canvas.ellipse(48 + dx, -22 + dy, 3.2, 2.6, MYOCARDIUM + 20, amount=left * step(z, -50, -60))
    right = between(z, -84, -32, 12)
    canvas.ellipse(10, -44, 36 * size, 15 * size, BLOOD - 40, angle=-0.55, amount=right)
    canvas.ellipse(-24, -16, 20 * size, 23 * size, BLOOD - 30, angle=-0.3, amount=between(z, -78, -24, 10))
    canvas.ellipse(8, 10, 34 * size, 15 * size, BLOOD - 8, angle=-0.12, amount=between(z, -48, -16, 7))
    # The coronary groove: fat with a small bright artery in it.
    canvas.ellipse(-12, -42, 9, 2.6, FAT + 25, angle=1.0, amount=0.8 * right)
    canvas.ellipse(-11, -43, 1.9, 1.9, BLOOD, amount=right)


def paint_great_vessels(canvas: Canvas, z: float) -> None:
    wall = MUSCLE - 10
    if z < 46:
        canvas.ring(25 - 9 * step(z, -60, -150), 44 - 4 * step(z, -60, -150), 11.5, 11.5, 1.3, (wall, BLOOD))
    if -28 < z < 46:
        at = step(z, -28, 40)
        canvas.ring(-4 - 12 * at, -22 - 2 * at, 15.5, 15.5, 1.4, (wall, BLOOD))
    if 36 < z < 62:
        shown = between(z, 44, 56, 7)
        canvas.ellipse(6, 8, 38, 12.5, wall, angle=0.98, amount=shown)
        canvas.ellipse(6, 8, 36.5, 11, BLOOD, angle=0.98, amount=shown)
    if -16 < z < 34:
        canvas.ellipse(18, -30 + 6 * step(z, 5, 25), 14.5, 13.5, BLOOD - 4, amount=between(z, -8, 22, 6))
        canvas.ellipse(-14, 0, 38, 8.5, BLOOD - 6, angle=-0.08, amount=between(z, 0, 14, 5))
        canvas.ellipse(33, -6, 12, 20, BLOOD - 6, angle=0.35, amount=between(z, 10, 24, 6))
    if z < 96:
        shown = between(z, -14, 88, 6)
        canvas.ellipse(-26, -16, 8.5, 9.5, VEIN, amount=shown)
    if z < -70:
        canvas.ellipse(-24, 12, 11, 10, BLOOD - 70, amount=step(z, -68, -80))
    if -46 < z < -6:
        # Veins of the lungs enter the left atrium.
        for side, bend in ((-1, 0.25), (1, -0.3)):
            canvas.ellipse(side * 40 + 6, 12, 19, 5.2, BLOOD - 12, angle=bend, amount=between(z, -34, -18, 7))
    if z > 54:
        shown = step(z, 54, 62)
        up = (z - 54) / 96
        canvas.ellipse(-9 - 16 * up, -10, 6.4, 6.4, BLOOD, amount=shown)
        canvas.ellipse(9 + 14 * up, -4, 4.0, 4.0, BLOOD, amount=shown)
        canvas.ellipse(20 + 26 * up, 12 - 8 * up, 5.0, 5.0, BLOOD, amount=shown)
        canvas.ellipse(-2 + 40 * up, -28, 30 * (1 - up) + 6, 5.5, VEIN - 70, angle=-0.15, amount=between(z, 66, 86, 8))
        for side in (-1, 1):
            canvas.ellipse(side * (28 + 10 * up), -14, 6, 5.5, VEIN - 80, amount=step(z, 84, 96))
            canvas.ellipse(side * 15, 2, 8, 11, 125, amount=step(z, 118, 128))
    canvas.ring(8, 28 - 4 * step(z, 20, 120), 3.6, 2.6, 2.2, (MUSCLE - 6, 20 - 320 * between(z, 30, 90, 20)))
    for i, (x, y) in enumerate(((-14, 14), (12, -42), (-20, 2))):
        canvas.ellipse(x, y, 4, 2.8, 48, amount=0.9 * between(z, 8 + 18 * i, 18 + 18 * i, 4))


def paint_airways(canvas: Canvas, z: float) -> None:
    wall, air = 20.0, AIR + 8
    if z > 2:
        canvas.ring(-1, 10 - 6 * step(z, 40, 140), 8.4, 8.8, 1.5, (wall, air))
    elif z > -34:
        for side in (-1, 1):
            reach = 6 + (0.85 if side < 0 else 1.15) * (2 - z)
            canvas.ring(side * reach, 11 + 0.15 * (2 - z), 6.6 - 0.05 * (2 - z), 5.8, 1.3, (wall, air))
