"""What motor units are looked for in: the band of their twitches, and the frames that show it.

What the networks were trained on fixes the images and their rate. The rate that a cine needs follows from the band in which
twitches are looked for: velocity is the slope of a straight line through five frames, which passes a swing of `w` radians a
frame with (sin w + 2 sin 2w) / 5w of its size. At the band's upper limit, 30 Hz, half of the power is left from 248.1 frames a
second on.
"""

#: Twitches and their trains are within (Hz); what is slower is drift and the pulse's own wave, what is faster is noise.
BAND_HZ = (3.0, 30.0)
LEAST_RATE_HZ = 249.0
#: Of all that the networks see: images of velocity a second, and images of a window.
RATE_HZ, FRAMES = 250.0, 512
#: Pixels a side of an image, and millimetres a pixel.
SIZE, PIXEL_MM = 64, 40 / 64

#: Names of the findings, and their flag: what the networks know of units they have from a simulator.
UNIT_NAME, COUNT_NAME = "motor_unit", "motor_unit_count"
UNITS_FROM_SIMULATION = "units_from_simulation"
