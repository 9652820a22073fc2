"""Makes the files of sound in this folder, and decoded.safetensors with what libsndfile decodes them to, by numpy 2.4,
safetensors 0.8 and soundfile 0.14 (with libsndfile 1.2.2, libFLAC, libvorbis, LAME and mpg123):

    python3 make_sounds.py

Ogg streams get a random serial number, so those files differ from run to run; what they decode to does not.
"""

import numpy
import soundfile
from safetensors.numpy import save_file

FILES = {
    # name: (rate, channels, frames, subtype)
    "stereo16.flac": (22050, 2, 5001, "PCM_16"),
    "mono24.flac": (48000, 1, 4803, "PCM_24"),
    "mono8.flac": (8000, 1, 1000, "PCM_S8"),
    "stereo.ogg": (22050, 2, 5001, "VORBIS"),
    "mono.ogg": (16000, 1, 3003, "VORBIS"),
    "stereo.mp3": (44100, 2, 9001, "MPEG_LAYER_III"),
    "mono.mp3": (16000, 1, 3003, "MPEG_LAYER_III"),
}


def sound(rate, channels, frames):
    """A chirp and some noise, other ones for each channel."""
    r = numpy.random.default_rng(0)
    time = numpy.arange(frames) / rate
    sides = [0.6 * numpy.sin(2 * numpy.pi * (200 * (side + 1) + 1500 * time) * time) for side in range(channels)]
    return numpy.stack(sides, 1) + 0.02 * r.standard_normal((frames, channels))


decoded = {}
for name, (rate, channels, frames, subtype) in FILES.items():
    soundfile.write(name, sound(rate, channels, frames), rate, subtype=subtype)
    read, _ = soundfile.read(name, dtype="float32", always_2d=True)
    assert read.shape == (frames, channels), (name, read.shape)
    decoded[name] = numpy.ascontiguousarray(read.T)
save_file(decoded, "decoded.safetensors")
