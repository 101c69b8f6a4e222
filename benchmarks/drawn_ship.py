"""Draw the ship of the documentation's screenshots: `python -m benchmarks.drawn_ship ship.png`."""
import sys

from PIL import Image, ImageDraw

WIDTH, HEIGHT, HORIZON = 640, 426, 260


def drawn_ship() -> Image.Image:
    """Return an image of a ship on the sea."""
    image = Image.new('RGB', (WIDTH, HEIGHT))
    draw = ImageDraw.Draw(image)
    for y in range(HEIGHT):
        above, below = y / HEIGHT, (y - HORIZON) / (HEIGHT - HORIZON)
        sky = (120 + 90 * above, 170 + 50 * above, 220 + 20 * above)
        sea = (40 + 20 * below, 90 - 10 * below, 130 - 20 * below)
        draw.line([(0, y), (WIDTH, y)], tuple(map(int, sky if y < HORIZON else sea)))
    draw.polygon([(110, 230), (540, 230), (500, 300), (150, 300)], (140, 35, 30))
    draw.polygon([(110, 230), (540, 230), (535, 240), (116, 240)], (235, 235, 235))
    draw.rectangle([200, 170, 330, 230], (240, 240, 240))  # the bridge
    draw.rectangle([220, 140, 300, 170], (225, 225, 230))
    for x in range(210, 325, 22):
        draw.rectangle([x, 185, x + 12, 200], (50, 70, 90))
    draw.rectangle([250, 105, 275, 140], (180, 50, 40))  # the funnel
    draw.rectangle([380, 120, 386, 230], (90, 90, 95))  # the mast
    draw.line([(386, 125), (520, 228)], (90, 90, 95), 3)
    for wave in range(8):
        x, y = 60 + wave * 70, 320 + wave % 3 * 14
        draw.line([(x, y), (x + 50, y)], (120, 160, 190), 3)
    return image


if __name__ == '__main__':
    drawn_ship().save(sys.argv[1])
