"""Makes spoken words with espeak-ng, a folder for each word, as the example `keyword` takes them:

    python3 words.py FOLDER

Every tenth file, which `keyword` keeps out of the training, is in a voice that no other file is in. Everything follows from
the seed and from the version of espeak-ng (1.51).
"""

import os
import random
import subprocess
import sys

WORDS = "yes no up down left right on off stop go".split()
FILES = 300
ACCENTS = ["en-us", "en-gb", "en-gb-x-rp", "en-gb-scotland", "en-gb-x-gbclan", "en-us-nyc"]
LEARNT = ["m1", "m2", "m3", "m4", "m6", "m7", "m8", "f1", "f2", "f3", "klatt", "klatt4", "Annie", "linda", "Lee", "Alex",
          "anika", "belinda", "benjamin", "max", "steph"]
TESTED = ["m5", "f4", "f5", "Andrea", "Michael"]

r = random.Random(0)
for word in WORDS:
    os.makedirs(os.path.join(sys.argv[1], word), exist_ok=True)
    for i in range(FILES):
        path = os.path.join(sys.argv[1], word, f"{i:03}.wav")
        voice = f"{r.choice(ACCENTS)}+{r.choice(TESTED if i % 10 == 9 else LEARNT)}"
        subprocess.run(["espeak-ng", "-v", voice, "-s", str(r.randint(120, 200)), "-p", str(r.randint(25, 75)), "-w", path, word],
                       check=True)
