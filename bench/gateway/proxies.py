"""The proxies that are compared: nginx, a bare one in Python, and modelbay's gateway as a user runs it."""

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

from bench.gateway.processes import Processes, Running
from bench.gateway.traffic import WIRE, Replies, alias_of, base_url, name_of
from modelbay.protocols.codec import NAMES

NGINX = """\
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
    access_log {log};
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_body_buffer_size 1m;
    client_max_body_size 64m;
    keepalive_requests 1000000;
    upstream provider {{
        server 127.0.0.1:{upstream};
        keepalive 1024;
        keepalive_requests 1000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location / {{
            proxy_pass http://provider;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
        }}
    }}
}}
"""
TYPES = {
    "openai_chat": "openai",
    "openai_responses": "openai_responses",
    "anthropic": "anthropic",
    "google": "google-genai",
}
"""Provider types of config.toml, by protocol."""
CONCURRENT = 1_000
"""Limit of requests in progress: more than the streams that are opened."""
COMMAND = "import sys; from modelbay.cli import main; sys.exit(main())"
"""`modelbay`, in the interpreter of the report."""
STARTS = 60.0
PEER = "openai_chat"
"""The provider's protocol for LiteLLM and Portkey."""


def start_nginx(processes: Processes, upstream: int, *, log: bool = False) -> Running | None:
    """nginx with one process, without buffering of replies; None if it is not installed."""
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if program is None:
        return None
    folder = processes.folder / f"nginx{'-log' if log else ''}"
    folder.mkdir()
    port = free_port()
    access_log = f"{folder}/access.log" if log else "off"
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, upstream=upstream, port=port, log=access_log))
    server = processes.start([program, "-p", str(folder), "-c", str(config), "-e", "stderr"], port=port)
    wait_for(server)
    return server


def start_litellm(processes: Processes, program: Path, upstream: int, kinds: list[Replies]) -> Running:
    """LiteLLM's proxy with one worker and a model per kind of reply, for the same requests as modelbay's gateway."""
    config, port = processes.folder / "litellm.yaml", free_port()
    lines = ["model_list:"]
    for replies in kinds:
        lines += [f"- model_name: {name_of(PEER, replies)}", "  litellm_params:", f"    model: openai/{WIRE}"]
        lines += [f"    api_base: {base_url(PEER, replies, upstream)}", "    api_key: sk-upstream-0123456789"]
    config.write_text("\n".join([*lines, "general_settings: {master_key: sk-bench}", ""]))
    server = processes.start(
        [program, "--config", str(config), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"], port=port
    )
    wait_for(server)
    return server


def start_portkey(processes: Processes, program: Path) -> Running:
    """Portkey's gateway. Each request has the URL of its provider."""
    port = free_port()
    server = processes.start([program, "--headless", f"--port={port}"], port=port)
    wait_for(server)
    return server


def portkey_headers(upstream: int, replies: Replies) -> dict[str, str]:
    return {"x-portkey-provider": "openai", "x-portkey-custom-host": base_url(PEER, replies, upstream)}


def start_bare(processes: Processes, upstream: int) -> Running:
    return processes.start([sys.executable, "-m", "bench.gateway.bare_proxy", str(upstream)])


class Installation:
    """A modelbay with a home folder of its own: client keys, names of models, limits, and one model per kind of reply."""

    def __init__(self, processes: Processes, upstream: int, kinds: list[Replies], checkout: Path | None = None) -> None:
        """`checkout`: a folder with another version of modelbay. Default: the version of the report."""
        self._processes = processes
        home = processes.folder / f"home-{checkout.name if checkout else 'own'}"
        home.mkdir()
        self.environment = {"MODELBAY_HOME": str(home)}
        if checkout:
            self.environment["PYTHONPATH"] = f"{checkout / 'src'}{os.pathsep}{Path.cwd()}"
        self.config = home / "config.toml"
        self.config.write_text(_config(upstream, kinds))
        environment = {**os.environ, **self.environment}
        words = [sys.executable, "-c", COMMAND, "client", "add", "bench"]
        added = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
        self.key = added.stdout.split()[-1]

    def serve(self, *, workers: int = 1, program: tuple[str, ...] = ("-c", COMMAND)) -> Running:
        """Run the gateway as a user does, with its log in a file."""
        words = [sys.executable, *program, "serve", "--port", "0", "--workers", str(workers)]
        return self._processes.start(words, env=self.environment)


def _config(upstream: int, kinds: list[Replies]) -> str:
    names, tables = ["[gateway]", f"concurrent = {CONCURRENT}", "[gateway.names]"], []
    for replies in kinds:
        for protocol in NAMES:
            alias = alias_of(protocol, replies)
            names.append(f'"{name_of(protocol, replies).rpartition("-")[0]}-*" = "{alias}"')
            tables += [f"[providers.{alias}]", f'type = "{TYPES[protocol]}"', 'api_key = "sk-upstream-0123456789"']
            tables += [f'base_url = "{base_url(protocol, replies, upstream)}"']
            tables += [f"[models.{alias}]", f'provider = "{alias}"', f'model = "{WIRE}"', "max_output_size = 65536"]
    return "\n".join([*names, *tables, ""])


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def wait_for(server: Running) -> None:
    """Return when a server accepts connections."""
    end = time.monotonic() + STARTS
    while True:
        try:
            socket.create_connection(("127.0.0.1", server.port)).close()
        except OSError:
            if server.process.poll() is not None or time.monotonic() > end:
                raise
            time.sleep(0.02)
        else:
            return
