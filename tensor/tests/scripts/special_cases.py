"""Writes tests/golden/special.txt: values of special functions, computed to 40 digits and rounded to float64. The
arguments are float32 numbers.

Run with mpmath installed: python tensor/tests/scripts/special_cases.py
"""

import pathlib

import struct

import mpmath as mp

mp.mp.dps = 40
POINTS = 48


def single(x):
    """The nearest number that is a float32."""
    return struct.unpack("f", struct.pack("f", float(x)))[0]


def between(low, high):
    """Points of an interval that are neither at its ends nor round numbers."""
    return [single(low + (high - low) * (i + 0.382) / POINTS) for i in range(POINTS)]


def powers(low, high):
    """As many points, evenly spread over the orders of magnitude from 10^low to 10^high."""
    return [single(mp.mpf(10) ** e) for e in between(low, high)]


def ndtr(x):
    return mp.erfc(-x / mp.sqrt(2)) / 2


def ndtri(p):
    return mp.findroot(lambda x: mp.log(ndtr(x)) - mp.log(p), -mp.sqrt(-2 * mp.log(p)) if p < 0.1 else mp.mpf(p) - 0.5)


CASES = {
    "lgamma": (mp.loggamma, powers(-3, 4)),
    "digamma": (mp.digamma, between(-9.9, 0) + between(0, 30)),
    "polygamma(1)": (lambda x: mp.polygamma(1, x), between(0.01, 30)),
    "polygamma(2)": (lambda x: mp.polygamma(2, x), between(0.01, 30)),
    "erfinv": (mp.erfinv, between(-0.9999, 0.9999)),
    "erfcx": (lambda x: mp.exp(x * x) * mp.erfc(x), between(-5, 50)),
    "ndtr": (ndtr, between(-12, 6)),
    "ndtri": (ndtri, powers(-37, -0.01)),
    "log_ndtr": (lambda x: mp.log(ndtr(x)), between(-60, 6)),
    "i0": (lambda x: mp.besseli(0, x), between(0, 60)),
    "i0e": (lambda x: mp.besseli(0, x) * mp.exp(-x), between(0, 60)),
    "i1": (lambda x: mp.besseli(1, x), between(0, 60)),
    "i1e": (lambda x: mp.besseli(1, x) * mp.exp(-x), between(0, 60)),
    "bessel_j0": (lambda x: mp.besselj(0, x), between(-60, 60)),
    "bessel_j1": (lambda x: mp.besselj(1, x), between(-60, 60)),
    "bessel_y0": (lambda x: mp.bessely(0, x), between(0, 60)),
    "bessel_y1": (lambda x: mp.bessely(1, x), between(0.5, 60)),
    "modified_bessel_k0": (lambda x: mp.besselk(0, x), between(0, 60)),
    "modified_bessel_k1": (lambda x: mp.besselk(1, x), between(0, 60)),
    "airy_ai": (mp.airyai, between(-8, 6)),
    "zeta(2.5)": (lambda x: mp.zeta(mp.mpf(2.5), x), between(0, 30)),
    "igamma(3.7)": (lambda x: mp.gammainc(mp.mpf(3.7), 0, x, regularized=True), between(0, 20)),
    "igammac(3.7)": (lambda x: mp.gammainc(mp.mpf(3.7), x, mp.inf, regularized=True), between(0, 40)),
}

lines = []
for name, (function, points) in CASES.items():
    lines.append(f"== {name}")
    for x in points:
        y = function(mp.mpf(x))
        lines.append(f"{x!r} {float(y.real if isinstance(y, mp.mpc) else y)!r}")
path = pathlib.Path(__file__).parent.parent / "golden" / "special.txt"
path.write_text("\n".join(lines) + "\n")
