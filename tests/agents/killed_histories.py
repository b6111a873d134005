"""Random histories of an agent's file: `modelbay configure`, edits by hand, reformatting, SIGKILL and `--undo`.

Run as a program of one thread, because it forks: `python -m tests.agents.killed_histories CHECK AGENT COUNT`.
"""

import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from modelbay.agents import by_name, jsonc, transaction
from modelbay.agents import journal as journals
from modelbay.agents.file_text import FileSyntax
from modelbay.agents.findings import leaves
from modelbay.agents.journal import journal_path, role
from modelbay.agents.named_lists import as_lists
from modelbay.cli.export import exported_config
from modelbay.config.load import load
from modelbay.config.toml.document import TomlDocument
from modelbay.storage.files import LEFT_OVER
from tests import bundled_list
from tests.agents.desk import CONFIGS, FILES, LISTS

PROVIDERS = """\
default_model = "chat/m"
[providers.chat]
type = "openai"
base_url = "https://chat.example/v1"
api_key = "sk-chat-0123456789"
[providers.acme]
type = "openai_responses"
base_url = "https://acme.example/v1"
api_key = "sk-acme-0123456789"
custom_headers = { X-Team = "blue" }
[providers.anthropic]
type = "anthropic"
base_url = "https://claude.example"
api_key = "sk-claude-0123456789"
[models."chat/m"]
provider = "chat"
model = "m"
[models."acme/m"]
provider = "acme"
model = "m-2"
[models."anthropic/m"]
provider = "anthropic"
model = "m-3"
"""
OLD = {id: f"sk-old-{id}-0123456789" for id in ("chat", "acme", "modelbay")}
IDS = {"codex": ["acme"], "claude": ["anthropic"], "crush": ["chat", "anthropic"]}
"""The providers that an agent can use; all by default."""
CALLS = {"fsync", "replace", "unlink", "mkdir", "rmdir", "write", "chmod", "fchmod"}
"""The calls before and after which a process is killed: those that change files."""


class Machine:
    """A user's machine with one agent. `mirror`: the agent's file as it would be without modelbay; None if there is none."""

    def __init__(self, agent: str, folder: Path, text: str | None) -> None:
        (folder / "modelbay").mkdir(parents=True)
        bundled_list.store(folder / "modelbay")
        (folder / "project").mkdir()
        os.chdir(folder / "project")
        os.environ.update(HOME=str(folder / "user"), MODELBAY_HOME=str(folder / "modelbay"))
        (folder / "modelbay" / "config.toml").write_text(PROVIDERS)
        self.agent = by_name(agent)
        self.file = self.agent.files()[-1]
        self.file.parent.mkdir(parents=True)
        self.toml = self.file.suffix == ".toml"
        self.syntax = FileSyntax("toml" if self.toml else "json", tuple(LISTS.get(agent, {}).items()))
        self.mirror = text
        self.exact = True
        """Whether the text after the undo must be the mirror's, and not only its data."""
        if text is not None:
            self.file.write_text(text, newline="")

    @property
    def text(self) -> str | None:
        return self.file.read_bytes().decode() if self.file.exists() else None

    def data(self, text: str | None) -> dict[str, Any]:
        read: dict[str, Any] = self.syntax.data_of(text or ("" if self.toml else "{}"))
        return read

    # The program

    def configure(self, ids: tuple[str, ...], keys: bool) -> None:
        config = load(Path(os.environ["MODELBAY_HOME"]) / "config.toml")
        transaction.configure(self.agent, exported_config(config, self.agent, ids, with_keys=keys or not ids))

    def undo(self) -> transaction.Undone | None:
        return transaction.undo(self.agent)

    # The user: each edit is made in the file and in the mirror

    def edit(self, change: Callable[[str], str]) -> None:
        text = self.text
        if text is not None:
            self.file.write_text(change(text), newline="")
        if self.mirror is not None or text is not None:
            self.exact = self.exact and self.mirror is not None
            self.mirror = change(self.mirror or ("" if self.toml else "{}\n"))

    def edit_value(self, path: tuple[str, ...], value: Any) -> None:
        """Set a value; None removes it."""

        def change(text: str) -> str:
            if not self.toml:
                lists = self.syntax.lists
                for name in self.syntax.names_of(path) if value is not None else ():
                    text = jsonc.set_value(text, *name, lists)
                return jsonc.remove(text, path, lists) if value is None else jsonc.set_value(text, path, value, lists)
            document = TomlDocument(text)
            if value is None:
                document.delete(path)
            else:
                document.set(path, value)
            return document.text

        self.edit(change)

    def note(self, number: int) -> None:
        self.edit(lambda text: f"{'#' if self.toml else '//'} note {number}\n{text}")

    def reformat(self, indent: int | None, sort: bool) -> None:
        self.exact = False

        def change(text: str) -> str:
            data = as_lists(self.data(text), self.syntax.lists)
            if not self.toml:
                return json.dumps(data, indent=indent, sort_keys=sort)
            document = TomlDocument("")
            for key in sorted(data) if sort else data:
                document.set((key,), data[key])
            return document.text

        self.edit(change)

    def own_settings(self, *, bound: bool) -> list[tuple[str, ...]]:
        """The settings that modelbay wrote: those of addresses and credentials, or the others."""
        journal = journals.read(self.agent.id)
        found = []
        for record in journal.files if journal else ():
            for one in record.settings:
                is_bound = any(role(entry, one.path) for entry in record.entries)
                if is_bound == bound and at(self.data(self.text), one.path) != at(self.data(self.mirror), one.path):
                    found.append(one.path)
        return found


def at(data: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        data = data.get(key) if isinstance(data, dict) else None
    return data


def filled(data: Any) -> Any:
    """The data without empty tables, which TOML may only imply."""
    if not isinstance(data, dict):
        return data
    return {key: inner for key, item in data.items() if (inner := filled(item)) != {}}


def killed(run: Callable[[], object], number: int, *, every_call: bool = False) -> bool:
    """Run something in a child process and kill it at its call with this number. Returns whether it was killed."""
    child = os.fork()
    if not child:
        left = number

        def count(frame: object, event: str, called: Any) -> None:
            nonlocal left
            if every_call or (event in ("c_call", "c_return") and _changes_files(called)):
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.setprofile(count)
        try:
            run()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def _changes_files(called: Any) -> bool:
    """Whether a built-in function is one of `CALLS`, and not a method of strings of the same name."""
    of_os = called.__module__ in ("posix", "nt") or type(called.__self__).__module__ == "_io"
    return of_os and called.__name__ in CALLS


def starts(agent: str) -> list[str | None]:
    """Contents that the file may have before. The last one has the entries of `PROVIDERS` with other URLs and keys."""
    rich = (CONFIGS / FILES[agent]).read_text()
    if FILES[agent].endswith("toml"):
        plain = "# mine\nmodel = 'x' # best\n\n[other]\nname = 'o'\n\n[other.inner] # in\nsize = 1\n# end\n"
        table = "model_providers" if agent == "codex" else "providers"
        old = "".join(
            f"# {id}\n[{table}.{id}] # old\nname = 'Old' # mine\nbase_url = \"https://old.example\"\n"
            f"experimental_bearer_token = '{key}' # key\napi_key = '{key}'\nhttp_headers = {{ 'X-A' = '{key}' }} # h\n\n"
            for id, key in OLD.items()
        )
        return [None, "", rich, plain, plain.replace("\n", "\r\n"), plain.rstrip(), "\n\n# only a note", old]
    plain = '{\n  // mine\n  "other": {"name": "o"}, /* one */\n  "list": [\n    1, // first\n    2\n  ]\n}\n'
    env = '"env": {"ANTHROPIC_BASE_URL": "https://old.example", "ANTHROPIC_AUTH_TOKEN": "sk-old-0123456789"}'
    entries = ",\n".join(
        f'    // {id}\n    "{id}": {{\n      "name": "Old", // mine\n      "options": {{\n        "apiKey": "{key}", // key\n'
        f'        "baseURL": "https://old.example"\n      }}\n    }}'
        for id, key in OLD.items()
    )
    listed = ", // x\n".join(
        f'    {{"name": "{id}", "api_base_url": "https://old.example", "api_key": "{key}", "own": 1}}'
        for id, key in OLD.items()
    )
    table = ",\n".join(
        f'    "{id}": {{"api_key": "{key}", /* mine */ "base_url": "https://old.example"}}' for id, key in OLD.items()
    )
    others = f'"Providers": [\n{listed} // last\n  ],\n  "providers": {{\n{table}\n  }}'
    old = f'{{\n  {env},\n  "provider": {{\n{entries}\n  }},\n  {others}\n}}\n'
    return [None, "{}", "{ }\n", rich, plain, plain.replace("\n", "\r\n"), plain.replace("\n  ]", "\n  ],"), old]


def step(machine: Machine, random: Random, number: int) -> None:
    """One random step of a history."""
    ids = IDS.get(machine.agent.id, ["chat", "acme", "anthropic"])
    chosen: tuple[str, ...] = () if random.random() < 0.4 else (random.choice(ids),)
    keys = random.random() < 0.5

    def configure() -> None:
        machine.configure(chosen, keys)

    kind = random.choice(["configure", "configure", "kill", "kill undo", "undo", "add", "change", "remove", "note",
                          "reformat", "take", "drop"])  # fmt: skip
    if kind == "configure":
        configure()
    elif kind in ("kill", "kill undo"):
        run = configure if kind == "kill" else machine.undo
        every = random.random() < 0.5
        killed(run, random.randrange(30_000 if every else 120), every_call=every)
    elif kind == "undo":
        machine.undo()
    elif kind == "note":
        machine.note(number)
    elif kind == "reformat":
        machine.reformat(random.choice([None, 2, 4]), random.random() < 0.5)
    elif kind == "add":
        machine.exact = False
        machine.edit_value((f"added{number}",), random.choice([1, "text", {"inner": True}, [1, 2]]))
    else:
        _edit_setting(machine, random, kind, number)


def _edit_setting(machine: Machine, random: Random, kind: str, number: int) -> None:
    if kind in ("take", "drop"):
        paths = machine.own_settings(bound=False)
        if kind == "drop":  # modelbay removed some of them, and a removal of nothing does not change the file
            paths = [path for path in paths if at(machine.data(machine.text), path) is not None]
    else:
        mine, present = machine.data(machine.mirror), machine.data(machine.text)
        ours = machine.own_settings(bound=True) + machine.own_settings(bound=False)
        paths = [path for path in leaves(mine, ()) if path and at(present, path) == at(mine, path) and path not in ours]
        paths = [path for path in paths if path[0].startswith(("added", "other", "list"))]
    if not paths:
        return
    machine.exact = machine.exact and kind == "change"
    path = random.choice(paths)
    machine.edit_value(path, None if kind in ("remove", "drop") else f"text {number}")


def check_histories(agent: str, count: int) -> None:
    """After any history, an undo gives the file as it would be without modelbay."""

    @settings(max_examples=count, deadline=None, derandomize=True, database=None)
    @given(st.integers(0, 2**32), st.sampled_from(starts(agent)), st.integers(1, 8))
    def check(seed: int, text: str | None, steps: int) -> None:
        random = Random(seed)
        with tempfile.TemporaryDirectory() as folder:
            machine = Machine(agent, Path(folder), text)
            for number in range(steps):
                step(machine, random, number)
            undone = machine.undo()
            assert undone is None or not undone.blocked, undone
            agrees(machine)

    check()


def agrees(machine: Machine) -> None:
    """Whether the file is as it would be without modelbay, and nothing else is left."""
    now = machine.text
    if machine.exact:
        assert now == machine.mirror, (now, machine.mirror)
    assert filled(machine.data(now)) == filled(machine.data(machine.mirror)), (now, machine.mirror)
    for line in (machine.mirror or "").splitlines():
        assert "note" not in line or line in (now or "").splitlines(), (line, now)
    assert not journal_path(machine.agent.id).exists()
    assert not list(machine.file.parent.glob(f".*{LEFT_OVER}"))
    assert not list(journal_path(machine.agent.id).parent.glob(f".*{LEFT_OVER}"))


def check_every_step(agent: str, count: int) -> None:
    """A process that is killed at any call that changes files leaves a state that can be undone."""
    kills = 0
    for text in starts(agent)[-count:]:
        number, ended = 0, {"configure": False, "undo": False}
        ids = tuple(IDS.get(agent, ["chat"])[:1])
        while not all(ended.values()):
            with tempfile.TemporaryDirectory() as folder:
                machine = Machine(agent, Path(folder), text)
                machine.configure((), True)
                machine.note(number)
                ended["configure"] = not killed(lambda: machine.configure(ids, True), number)  # noqa: B023
                machine.note(number + 1)
                ended["undo"] = not killed(machine.undo, number)
                machine.undo()
                agrees(machine)
                kills += 2 - sum(ended.values())
                number += 1
    print(kills)


def check_secrets(agent: str, count: int) -> None:
    """No address is ever beside a credential that was not beside it before."""

    @settings(max_examples=count, deadline=None, derandomize=True, database=None)
    @given(st.integers(0, 2**32), st.sampled_from(starts(agent)), st.integers(1, 6))
    def check(seed: int, text: str | None, steps: int) -> None:
        random = Random(seed)
        with tempfile.TemporaryDirectory() as folder:
            machine = Machine(agent, Path(folder), text)
            known = pairs(machine.data(text))
            for number in range(steps):
                ids = IDS.get(agent, ["chat", "acme", "anthropic"])
                machine.configure((random.choice(ids),) if random.random() < 0.7 else (), random.random() < 0.8)
                bound = machine.own_settings(bound=True)
                changed = random.sample(bound, min(len(bound), random.randrange(3)))
                for path in changed:
                    machine.edit_value(
                        path, random.choice([None, f"https://user{number}.example", f"sk-user-{number}-0123456789"])
                    )
                known |= pairs(machine.data(machine.text))
                machine.undo()
                new = pairs(machine.data(machine.text)) - known
                assert not new, (new, known)

    check()


def pairs(data: dict[str, Any]) -> set[tuple[str, str]]:
    """Each URL of a file with each secret of the same entry."""
    found: set[tuple[str, str]] = set()
    entries = [data.get("env")]
    for name in ("providers", "provider", "model_providers", "Providers"):
        held = data.get(name) or {}
        entries += held.values() if isinstance(held, dict) else held
    for entry in entries:
        texts = [at(entry, path) for path in leaves(entry, ())] if isinstance(entry, dict) else []
        urls = [text for text in texts if isinstance(text, str) and "://" in text]
        keys = [text for text in texts if isinstance(text, str) and "-0123456789" in text]
        found |= {(url, key) for url in urls for key in keys}
    return found


if __name__ == "__main__":
    checks = {"histories": check_histories, "steps": check_every_step, "secrets": check_secrets}
    checks[sys.argv[1]](sys.argv[2], int(sys.argv[3]))
