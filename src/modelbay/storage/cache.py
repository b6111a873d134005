"""The cache folder: files that can be fetched or computed again, so that a problem with one of them is never an error."""

import contextlib
import re
from hashlib import sha256
from pathlib import Path
from string import ascii_uppercase
from tempfile import NamedTemporaryFile
from urllib.parse import quote

from modelbay.storage import files
from modelbay.storage.paths import cache_dir

LONGEST = 200
"""Maximum characters of a file name; a longer one ends in a hash."""
DEVICE = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?")


class Cache:
    """A folder of files. A missing file reads as None; a failed write means it is missing next time."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or cache_dir()

    def path(self, *names: str) -> Path:
        """Path of the file with that name. A name may contain any characters; each name is one path component."""
        return self.folder.joinpath(*(file_name(name) for name in names))

    def read(self, *names: str) -> bytes | None:
        try:
            return self.path(*names).read_bytes()
        except OSError:
            return None

    def write(self, data: bytes, *names: str) -> bool:
        """Replace a file atomically. Returns whether it could be written."""
        path = self.path(*names)
        part: Path | None = None
        try:
            files.make_private(path.parent)
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
        """Modification time of a file, in seconds since 1970."""
        try:
            return self.path(*names).stat().st_mtime
        except OSError:
            return None


def file_name(name: str) -> str:
    """The name encoded so that every file system accepts it, no name leaves the folder, and no two names are the same file:
    some file systems ignore case and reserve device names.
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
