"""`modelbay replay`: files in, a line of JSON for each exchange out."""

import gzip
from typing import Any

import msgspec
from inline_snapshot import snapshot

from tests.cli.command import Command, Run

encode = msgspec.json.encode


def exchange(name: str, text: str = "Hi") -> dict[str, Any]:
    reply = {"choices": [{"index": 0, "message": {"content": text}, "finish_reason": "stop"}]}
    return {"name": name, "protocol": "openai_chat", "response": {"status": 200, "json": reply}}


def names(output: str) -> list[str]:
    return [msgspec.json.decode(line)["name"] for line in output.splitlines()]


def test_each_exchange_is_a_line(modelbay: Command):
    (modelbay.home / "one.json").write_bytes(encode(exchange("one", "Grüße")))
    assert modelbay("replay", "one.json") == snapshot(
        Run(
            code=0,
            out='{"name":"one","text":"Grüße","thinking":"","refusal":"","tool_calls":[],"finish":"stop","usage":null,"error":null}\n',
            err="",
        )
    )


def test_a_file_holds_one_exchange_or_a_list_or_one_a_line_and_may_be_gzipped(modelbay: Command):
    pretty = msgspec.json.format(encode(exchange("pretty")), indent=2)
    lines = b"".join(encode(exchange(name)) + b"\n" for name in ("first", "second"))
    files = {
        "pretty.json": pretty,
        "list.json": encode([exchange("in"), exchange("list")]),
        "lines.jsonl": lines + b"\n",
        "lines.jsonl.gz": gzip.compress(lines),
        "unnamed": gzip.compress(pretty),
    }
    for name, content in files.items():
        (modelbay.home / name).write_bytes(content)
    ended = modelbay("replay", *files)
    assert (ended.code, ended.err) == (0, "")
    assert names(ended.out) == ["pretty", "in", "list", "first", "second", "first", "second", "pretty"]


def test_standard_input_is_a_file_too(modelbay: Command):
    assert names(modelbay("replay", "-", stdin=encode(exchange("piped")).decode()).out) == ["piped"]


def test_an_unnamed_exchange_is_called_by_its_place(modelbay: Command):
    (modelbay.home / "lines.jsonl").write_bytes(encode(exchange("first")) + b"\n" + encode(exchange("")))
    assert names(modelbay("replay", "lines.jsonl").out) == ["first", "lines.jsonl:2"]


def test_an_empty_file_is_named(modelbay: Command):
    (modelbay.home / "empty.json").write_bytes(b"\n")
    (modelbay.home / "full.json").write_bytes(encode(exchange("full")))
    ended = modelbay("replay", "empty.json", "full.json")
    assert (ended.code, names(ended.out), ended.err) == (2, ["full"], "error: empty.json is empty\n")


def test_unreadable_exchanges_are_reported_and_the_others_are_replayed(modelbay: Command):
    (modelbay.home / "good.json").write_bytes(encode(exchange("good")))
    (modelbay.home / "torn.jsonl").write_bytes(encode(exchange("whole")) + b'\n{"name": "to\n[1]\n')
    (modelbay.home / "cut.jsonl.gz").write_bytes(gzip.compress(encode(exchange("cut")))[:40])
    (modelbay.home / "page.html").write_text("<html>\n<body>\n")
    ended = modelbay("replay", "missing.json", "torn.jsonl", "cut.jsonl.gz", "page.html", ".", "good.json")
    assert (ended.code, names(ended.out)) == (2, ["whole", "good"])
    assert ended.err == snapshot("""\
error: missing.json cannot be read: No such file or directory
error: torn.jsonl:2: not JSON: Input data was truncated
error: torn.jsonl:3: not an exchange
error: cut.jsonl.gz cannot be read: Compressed file ended before the end-of-stream marker was reached
error: page.html: not JSON: JSON is malformed: invalid character (byte 0)
error: . cannot be read: Is a directory
""")


def test_an_exchange_that_we_cannot_read_hides_no_other(modelbay: Command):
    (modelbay.home / "sitecustomize.py").write_text(
        "import modelbay.replay as r\n"
        "read = r.read\n"
        "r.read = lambda recorded: {}['roof'] if recorded['name'] == 'bad' else read(recorded)\n"
    )
    (modelbay.home / "list.json").write_bytes(encode([exchange("bad"), exchange("good")]))
    ended = modelbay("replay", "list.json", PYTHONPATH=str(modelbay.home))
    assert (ended.code, names(ended.out)) == (1, ["good"])
    assert ended.err.startswith("error: list.json[0]: internal error: KeyError: 'roof'\n\nhint: ")


def test_to_prints_what_a_client_would_be_sent(modelbay: Command):
    (modelbay.home / "one.json").write_bytes(encode(exchange("one")))
    assert modelbay("replay", "--to", "google", "one.json") == snapshot(
        Run(
            code=0,
            out='{"name":"one","to":"google","kind":"json","body":"{\\"candidates\\":[{\\"content\\":{\\"parts\\":[{\\"text\\":\\"Hi\\"}],\\"role\\":\\"model\\"},\\"finishReason\\":\\"STOP\\",\\"index\\":0}]}"}\n',
            err="",
        )
    )


def test_to_takes_a_protocol(modelbay: Command):
    assert modelbay("replay", "--to", "smtp", "one.json").code == 2
