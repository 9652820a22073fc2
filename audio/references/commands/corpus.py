"""Makes a corpus of spoken digits, cards and commands with espeak-ng:

    python3 corpus.py FOLDER

FOLDER gets train/, valid/ and test/ with .wav files (22,050 Hz, 16 bits) and train.tsv, valid.tsv and test.tsv with lines
`file<TAB>text`. Sentences of valid and test are in no other part, and so are their voices. Half of the files have noise in
them: white, pink or brown, 10 to 30 dB below the speech. Everything follows from the seed and from the versions of
espeak-ng (1.51) and numpy (2.4).
"""

import os
import random
import subprocess
import sys
import wave
from concurrent.futures import ThreadPoolExecutor

import numpy

SEED = 0
SIZES = {"train": 6000, "valid": 300, "test": 600}

ACCENTS = ["en-us", "en-gb", "en-gb-x-rp", "en-gb-scotland", "en-gb-x-gbclan", "en-us-nyc"]
TIMBRES = {
    "train": ["m1", "m2", "m3", "m4", "m6", "m8", "f1", "f2", "f3", "klatt", "klatt4", "Annie", "linda", "Lee", "Alex",
              "anika", "benjamin", "max", "steph"],
    "valid": ["m7", "belinda"],
    "test": ["m5", "f4", "f5", "Andrea", "Michael"],
}

DIGITS = "zero one two three four five six seven eight nine".split()
NUMBERS = DIGITS[1:] + ["ten"]
RANKS = ["ace"] + DIGITS[2:] + ["ten", "jack", "queen", "king"]
SUITS = "spades hearts clubs diamonds".split()
PLACES = "kitchen bedroom bathroom garden hall office garage".split()
THINGS = "light lamp fan heater radio television door window".split()
COLORS = "red green blue white yellow".split()


def digits(r):
    return " ".join(r.choice(DIGITS) for _ in range(r.randint(2, 7)))


def cards(r):
    def card():
        return f"{r.choice(RANKS)} of {r.choice(SUITS)}"
    form = r.randint(0, 4)
    if form == 0:
        return f"{r.choice(NUMBERS)} {r.choice(RANKS)}"
    return " ".join(card() for _ in range(1 + form // 2))


def command(r):
    thing, place = r.choice(THINGS), r.choice(PLACES)
    number, other, color = r.choice(NUMBERS), r.choice(NUMBERS), r.choice(COLORS)
    return r.choice([
        f"turn {r.choice(['on', 'off'])} the {thing} in the {place}",
        f"{r.choice(['open', 'close'])} the {r.choice(['door', 'window'])} of the {place}",
        f"set the volume to {number}",
        f"set the {thing} in the {place} to {number}",
        f"make the {r.choice(['light', 'lamp'])} in the {place} {color}",
        f"go {r.choice(['forward', 'back', 'left', 'right', 'up', 'down'])} {number} steps",
        f"play the {r.choice(['next', 'last', 'first'])} song in the {place}",
        f"wake me {r.choice(['in', 'after'])} {number} {r.choice(['hours', 'minutes'])}",
        f"call number {digits(r)}",
        f"stop the {r.choice(['radio', 'television', 'music'])} in the {place} {r.choice(['now', 'please'])}",
        f"{r.choice(['add', 'take'])} {number} {r.choice(['and', 'from'])} {other}",
        f"what is the {r.choice(['time', 'weather', 'temperature'])} in the {place}",
        f"{r.choice(['yes', 'no'])} {r.choice(['start', 'stop'])} the {thing} {r.choice(['now', 'please'])}",
    ])


def sentence(r):
    return r.choices([digits, cards, command], [3, 2, 5])[0](r)


def speak(job):
    path, text, voice, speed, pitch, noise = job
    subprocess.run(["espeak-ng", "-v", voice, "-s", str(speed), "-p", str(pitch), "-w", path, text], check=True)
    if noise:
        disturb(path, *noise)


def disturb(path, seed, slope, snr):
    """Adds noise whose power falls with frequency to the power of `slope`, `snr` dB below the speech."""
    with wave.open(path) as file:
        params = file.getparams()
        speech = numpy.frombuffer(file.readframes(params.nframes), "<i2").astype(float)
    spectrum = numpy.fft.rfft(numpy.random.default_rng(seed).standard_normal(len(speech)))
    # Nothing is below 20 Hz, where brown noise would have most of its power.
    frequency = numpy.maximum(numpy.fft.rfftfreq(len(speech), 1 / params.framerate), 20)
    noise = numpy.fft.irfft(spectrum * frequency ** (-slope / 2), len(speech))
    noise *= numpy.sqrt(numpy.mean(speech**2) / numpy.mean(noise**2) / 10 ** (snr / 10))
    mixed = numpy.clip(numpy.round(speech + noise), -32768, 32767).astype("<i2")
    with wave.open(path, "wb") as file:
        file.setparams(params)
        file.writeframes(mixed.tobytes())


def main():
    folder = sys.argv[1]
    r, rooms = random.Random(SEED), random.Random(SEED + 1)
    said, jobs = set(), []
    # The small parts first: what they hold is what training may not.
    for part in ["test", "valid", "train"]:
        os.makedirs(os.path.join(folder, part), exist_ok=True)
        own, lines = set(), []
        while len(lines) < SIZES[part]:
            text = sentence(r)
            if text in said or (part != "train" and text in own):
                continue
            own.add(text)
            voice = f"{r.choice(ACCENTS)}+{r.choice(TIMBRES[part])}"
            name = f"{part}/{len(lines):05}.wav"
            noise = (len(jobs), rooms.choice([0, 1, 2]), rooms.uniform(10, 30)) if rooms.random() < 0.5 else None
            jobs.append((os.path.join(folder, name), text, voice, r.randint(120, 210), r.randint(25, 75), noise))
            lines.append(f"{name}\t{text}\n")
        said |= own
        with open(os.path.join(folder, part + ".tsv"), "w") as file:
            file.writelines(lines)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(speak, jobs))


main()
