"""The gateway behind nginx with its usual settings, as a team runs it. The tests are skipped if nginx is not installed."""

import json
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from time import sleep

import pytest

from tests.gateway.raw import RawClient, post
from tests.gateway.running import PROTOCOLS, running
from tests.gateway.test_app import call, request
from tests.gateway.test_streams import asking
from tests.pages import ROOT

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
CONFIG = """\
daemon off;
master_process off;
pid FOLDER/pid;
error_log stderr warn;
events { worker_connections 64; }
http {
    access_log off;
    client_body_temp_path FOLDER/body;
    proxy_temp_path FOLDER/proxy;
    fastcgi_temp_path FOLDER/fastcgi;
    uwsgi_temp_path FOLDER/uwsgi;
    scgi_temp_path FOLDER/scgi;
    server {
        listen 127.0.0.1:PORT;
        location / { proxy_pass GATEWAY; }
        location /llm/ {
            proxy_pass GATEWAY/;
            proxy_set_header Host models.example;
            proxy_set_header X-Forwarded-Proto https;
            proxy_set_header X-Forwarded-Prefix /llm;
        }
        location /other/ {
            proxy_pass GATEWAY/;
            proxy_set_header Host other.example:8443;
        }
    }
    GUIDE
}
"""
GUIDE = re.search(r"^```nginx\n(.*?)^```", (ROOT / "docs/guides/team.md").read_text(), re.DOTALL | re.MULTILINE)
"""The server that the guide for teams describes."""

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of nginx."""
    folder = tmp_path_factory.mktemp("nginx")
    with running(folder, settings='hosts = ["models.example", "models.example.com"]') as (gateway, _):
        assert GUIDE is not None
        guide = re.sub(r"ssl_certificate.*", "", GUIDE[1]).replace("listen 443 ssl", "listen 127.0.0.1:PORT")
        config = CONFIG.replace("GUIDE", guide).replace("http://127.0.0.1:8484", "GATEWAY")
        process, port = _started(folder, config.replace("FOLDER", str(folder)).replace("GATEWAY", gateway.url))
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()


def _started(folder: Path, config: str) -> tuple[subprocess.Popen[bytes], int]:
    """nginx on a free port, and the port. If another program takes the port at this moment, nginx ends, and gets another one."""
    assert NGINX is not None
    while True:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        (folder / "nginx.conf").write_text(config.replace("PORT", str(port)))
        process = subprocess.Popen([NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf")])
        while process.poll() is None:
            if (folder / "pid").exists() and _accepts(port):  # it writes this file when it listens
                return process, port
            sleep(0.02)


def _accepts(port: int) -> bool:
    with socket.socket() as trial:
        return trial.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("client", PROTOCOLS)
@pytest.mark.parametrize("upstream", ["openai_chat", "anthropic"])
async def test_the_beginning_of_a_stream_arrives_before_its_end(proxy: str, client: str, upstream: str) -> None:
    async with RawClient(proxy) as person:
        await person.send(asking(client, f"{upstream}/sim-1!stall"))
        found = await person.head()
        assert (found.status, "x-accel-buffering" in found.headers) == (200, False)
        await person.until(b"You")


async def test_lists_have_the_address_that_the_client_used(proxy: str) -> None:
    for path in ("/llm/api.json", "/llm/registry.json"):
        status, _, data = await call(proxy, path, method="GET")
        assert (status, json.loads(data)["modelbay"]["api"]) == (200, "https://models.example/llm/v1")
    _, _, data = await call(proxy, "/api.json", method="GET")
    assert json.loads(data)["modelbay"]["api"].startswith("http://127.0.0.1:")


async def test_the_server_of_the_guide_passes_streams_and_large_requests(proxy: str) -> None:
    path, body = request("anthropic", "anthropic/sim-1!stall", stream=True)
    async with RawClient(proxy) as person:
        await person.send(post(path, body, "Host: models.example.com"))
        await person.head()
        await person.until(b"You")
    async with RawClient(proxy) as person:
        path, body = request("anthropic", "anthropic", "x" * 2_000_000)
        await person.send(post(path, body, "Host: models.example.com"))
        assert b"prompt is too long" in (await person.response()).body  # the provider read it


async def test_the_refusal_of_a_host_name_says_how_to_accept_it(proxy: str) -> None:
    status, _, data = await call(proxy, "/other/v1/models", method="GET")
    message = "the Host header does not name this server: add other.example to hosts under [gateway]"
    assert (status, json.loads(data)["error"]["message"]) == (403, message)
