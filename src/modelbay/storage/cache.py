"""Files in the cache folder: what can be fetched or worked out again, so that no fault of theirs is a failure."""

import contextlib
import re
from hashlib import sha256
from pathlib import Path
from string import ascii_uppercase
from tempfile import NamedTemporaryFile
from urllib.parse import quote

from modelbay.storage.paths import cache_dir

LONGEST = 200
"""Characters of a file's name; a longer one ends in a hash."""
DEVICE = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?")


class Cache:
    """A folder of files. One that is missing is None, and one that cannot be written is not there the next time."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or cache_dir()

    def path(self, *names: str) -> Path:
        """Where the file of that name is. A name may have any characters; each is one step of the path."""
        return self.folder.joinpath(*(_file_name(name) for name in names))

    def read(self, *names: str) -> bytes | None:
        try:
            return self.path(*names).read_bytes()
        except OSError:
            return None

    def write(self, data: bytes, *names: str) -> bool:
        """Replaces a file at once, so that nobody reads half of it. Whether that could be done."""
        path = self.path(*names)
        part: Path | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with NamedTemporaryFile(dir=path.parent, delete=False) as file:
                part = Path(file.name)
                file.write(data)
            part.replace(path)
        except OSError:
            if part is not None:
                with contextlib.suppress(OSError):
                    part.unlink()
            return False
        return True

    def drop(self, *names: str) -> None:
        with contextlib.suppress(OSError):
            self.path(*names).unlink()

    def changed(self, *names: str) -> float | None:
        """When a file was written, in seconds since 1970."""
        try:
            return self.path(*names).stat().st_mtime
        except OSError:
            return None


def _file_name(name: str) -> str:
    """The name, written so that every system takes it, that no name leads out of the folder, and that no two names are one
    file: some systems make no difference between A and a, and have devices of these names.
    """
    quoted = "".join(f"%{ord(char):02X}" if char in ascii_uppercase else char for char in name.replace("%", "%25"))
    quoted = quote(quoted, safe="% @+=,()!~", errors="surrogatepass")
    if quoted.startswith(".") or DEVICE.fullmatch(quoted):
        quoted = f"%{ord(quoted[0]):02X}{quoted[1:]}"
    if quoted.endswith((".", " ")):
        quoted = f"{quoted[:-1]}%{ord(quoted[-1]):02X}"
    if len(quoted) <= LONGEST:
        return quoted
    return f"{quoted[:LONGEST]}~{sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"
