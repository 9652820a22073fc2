"""Keeps some of the test sentences of references/commands/corpus.py, and a test file of each word of
references/commands/words.py, as FLAC, by soundfile 0.14:

    python3 make_speech.py CORPUS WORDS

The first two sentences are in the test part's clean half, the others have noise in them.
"""

import os
import sys

import soundfile

FILES = ["00026", "00031", "00018", "00009"]



def keep(path, name):
    samples, rate = soundfile.read(path, dtype="int16")
    soundfile.write(name, samples, rate, subtype="PCM_16")


with open(os.path.join(sys.argv[1], "test.tsv")) as lines:
    said = dict(line.rstrip("\n").split("\t") for line in lines)
with open("speech.tsv", "w") as out:
    for name in FILES:
        keep(os.path.join(sys.argv[1], "test", f"{name}.wav"), f"{name}.flac")
        out.write(f"{name}.flac\t{said[f'test/{name}.wav']}\n")
for word in sorted(os.listdir(sys.argv[2])):
    keep(os.path.join(sys.argv[2], word, "009.wav"), f"{word}.flac")
