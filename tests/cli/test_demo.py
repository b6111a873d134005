"""`modelbay demo`: the whole way once, without an account."""

import re
import signal

from inline_snapshot import snapshot

from tests.cli.command import Command


def test_it_shows_every_protocol_and_succeeds(modelbay: Command):
    (modelbay.home / "config.toml").unlink()
    before = set(modelbay.home.rglob("*"))
    code, out, err = modelbay("demo")
    assert (code, err) == (0, "")
    out, _, after = out.partition("\nNext, connect your own provider:\n")
    assert " provider add anthropic " in after and " docs install`" in after
    assert re.sub(r"http://127\.0\.0\.1:\d+", "URL", re.sub(r"/\S*/modelbay-\w+", "FOLDER", out)) == snapshot("""\
Started the simulator, a provider on this machine, at URL
Wrote FOLDER/config.toml with a provider and a model for each of 4 protocols

openai_chat
  models: 7 (sim-1, sim-thinker, sim-vision, …)
  > Why is the sky blue?
  You asked: Why is the sky blue? I am sim-echo, a simulated model, and this is all I know about it.
  > What is the weather in Paris?
  tool call: get_weather {"city":"Paris"}, result: 18 °C and clear
  The tool get_weather answered: 18 °C and clear.
  thinking sent back unchanged: accepted

openai_responses
  models: 7 (sim-1, sim-thinker, sim-vision, …)
  > Why is the sky blue?
  You asked: Why is the sky blue? I am sim-echo, a simulated model, and this is all I know about it.
  > What is the weather in Paris?
  tool call: get_weather {"city":"Paris"}, result: 18 °C and clear
  The tool get_weather answered: 18 °C and clear.
  thinking sent back unchanged: accepted

anthropic
  models: 7 (sim-1, sim-thinker, sim-vision, …)
  > Why is the sky blue?
  You asked: Why is the sky blue? I am sim-echo, a simulated model, and this is all I know about it.
  > What is the weather in Paris?
  tool call: get_weather {"city":"Paris"}, result: 18 °C and clear
  The tool get_weather answered: 18 °C and clear.
  thinking sent back unchanged: accepted

google
  models: 7 (sim-1, sim-thinker, sim-vision, …)
  > Why is the sky blue?
  You asked: Why is the sky blue? I am sim-echo, a simulated model, and this is all I know about it.
  > What is the weather in Paris?
  tool call: get_weather {"city":"Paris"}, result: 18 °C and clear
  The tool get_weather answered: 18 °C and clear.
  thinking sent back unchanged: accepted

Started the gateway at URL, for programs that speak any protocol
  client openai_chat, provider openai_responses
  You asked: Why is the sky blue? I am sim-echo, a simulated model, and this is all I know about it.
  client openai_responses, provider anthropic
  You asked: Why is the sky blue? I am sim-echo, a simulated model, and this is all I know about it.
  client anthropic, provider google
  You asked: Why is the sky blue? I am sim-echo, a simulated model, and this is all I know about it.
  client google, provider openai_chat
  You asked: Why is the sky blue? I am sim-echo, a simulated model, and this is all I know about it.

All 4 protocols passed in 0.0 s
""")
    assert set(modelbay.home.rglob("*")) == before


def test_keep_leaves_it_running_with_commands_that_work(modelbay: Command):
    running = modelbay.start("demo", "--keep")
    assert running.stdout is not None
    told = ""
    while 'sim-google"\nmodel = ' not in told and (line := running.stdout.readline()):
        told += line
    folder = re.search(r"export MODELBAY_HOME=(\S+)", told)
    assert folder is not None
    assert modelbay("ask", "Why is the sky blue?", MODELBAY_HOME=folder[1]).out.startswith("You asked: Why")
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=120)
    assert (running.returncode, err.strip()) == (130, "")
