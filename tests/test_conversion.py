"""Values are converted to declared types in any thread."""

import subprocess
import sys

THREADS = """
import sys, threading, msgspec
from modelbay.conversion import convert, decoder

sys.setswitchinterval(1e-6)
value = {f"outer{n}": {"key": {f"inner{m}": {"k": 1} for m in range(30)}} for n in range(10)}
text = msgspec.json.encode(value)
for number in range(60):
    inner = msgspec.defstruct("Inner", [(f"inner{n}", dict[str, int] | None, None) for n in range(30)])
    outer = msgspec.defstruct("Outer", [(f"outer{n}", dict[str, inner] | None, None) for n in range(10)])
    together = threading.Barrier(4)

    def use(number: int) -> None:
        together.wait()
        convert(value, outer) if number % 2 else decoder(outer).decode(text)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""


def test_threads_that_use_a_type_for_the_first_time_at_once_do_not_crash() -> None:
    ended = subprocess.run([sys.executable, "-c", THREADS], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
