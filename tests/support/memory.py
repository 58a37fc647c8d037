"""Loads files over and over and tells how much memory the process holds: ``python -m`` FOLDER LOADS."""

import itertools
import resource
import sys
from pathlib import Path

from regvq.data.images import load_image
from regvq.errors import RegvqError
from regvq.tokenizers.token_file import SUFFIXES, load_tokens


def resident() -> int:
    """Bytes of this process that are in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def main() -> None:
    """Prints the memory behind the first tenth and in the end, in bytes, and how many were refused."""
    folder, loads = Path(sys.argv[1]), int(sys.argv[2])
    refused = warm = 0
    for number, path in enumerate(itertools.islice(itertools.cycle(sorted(folder.iterdir())), loads)):
        if number == loads // 10:
            warm = resident()
        try:
            load_tokens(path) if path.suffix in SUFFIXES else load_image(path)
        except RegvqError:
            refused += 1
    print(warm, resident(), refused)


if __name__ == "__main__":
    main()
