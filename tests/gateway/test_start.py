"""The start of `modelbay serve`: it looks up no name and connects to no server."""

import os
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

from tests.gateway.running import config_text

WATCHED = """
import runpy, sys
WATCHED = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")
sys.addaudithook(lambda event, found: print("NETWORK", event, found[1:], file=sys.stderr) if event in WATCHED else None)
sys.argv = ["modelbay", "serve", "--port", "0"]
runpy.run_module("modelbay", run_name="__main__")
"""


def test_the_start_and_the_catalogs_need_no_network(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(config_text("https://acme.example"))
    with (
        subprocess.Popen(
            [sys.executable, "-c", WATCHED],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "MODELBAY_HOME": str(tmp_path)},
        ) as process,
    ):
        assert process.stdout
        url = process.stdout.readline().strip()
        for path in ("/", "/health", "/readyz", "/api.json"):
            with urlopen(url + path, timeout=60) as response:
                assert response.status == 200
        process.terminate()
        _, log = process.communicate(timeout=60)
    assert "path=/api.json" in log
    assert "NETWORK" not in log


def test_a_network_that_cannot_be_used_is_an_error_before_the_start(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(config_text("https://acme.example") + '[network]\nproxy = "{env:NO_SUCH}"\n')
    done = subprocess.run(
        [sys.executable, "-m", "modelbay", "serve", "--port", "0"],
        capture_output=True,
        text=True,
        env={**os.environ, "MODELBAY_HOME": str(tmp_path)},
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "NO_SUCH is not set" in done.stderr
