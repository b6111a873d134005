"""Whole programs with a hub, in Python's development mode with warnings as errors: their end, interrupts, loops and processes."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from modelbay.testing import Simulator
from tests.fault_config import LONG

HEAD = """
import asyncio, gc, logging, multiprocessing, os, signal, sys, threading
from modelbay import Hub, ModelbayError
from modelbay.sync import Hub as Blocking

logging.getLogger("asyncio").setLevel("ERROR")  # the development mode reports slow steps, as on a slow machine

URL = sys.argv[1]


def hub(kind):
    return kind.of(base_url=URL + "/v1", model="sim-1")


def threads():
    return sum(thread.name == "modelbay" for thread in threading.enumerate())


def interrupted_when_asked():
    def watch():
        sys.stdin.readline()
        os.kill(os.getpid(), signal.SIGINT)
    threading.Thread(target=watch, daemon=True).start()
"""


def ran(folder: Path, code: str, *, stops_at: str = "") -> list[str]:
    """The lines that a program prints. It gets a line when a request for the model `stops_at` has arrived."""
    path = folder / "program.py"
    path.write_text(HEAD + code)
    with Simulator() as simulator:
        command = [sys.executable, "-X", "dev", "-W", "error", str(path), simulator.url]
        program = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            if stops_at:
                while not any(request.model == stops_at for request in simulator.requests):
                    time.sleep(0.01)
                    assert program.poll() is None
            output, errors = program.communicate("now\n" if stops_at else None, timeout=LONG)
        except subprocess.TimeoutExpired:
            program.kill()
            pytest.fail(f"the program does not end: {program.communicate()}")
        assert (program.returncode, errors) == (0, "")
    return output.splitlines()


# --- the end of a program ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code",
    [
        "stream = hub(Blocking).stream('Write 5000 words')\npieces = stream.text\nnext(pieces)",
        "stream = hub(Blocking).stream('Hi', model='sim-1!stall')\nnext(stream)",
        "run = hub(Blocking).run('Hi', model='sim-1!stall')\nnext(run)",
        "h = hub(Blocking)\nwith h:\n    stream = h.stream('Hi', model='sim-1!stall')\n    next(stream)",
        "h = hub(Blocking)\nh.complete('Hi')",
        "h = hub(Blocking)\nh.complete('Hi')\n"
        "threading.Thread(target=h.complete, args=['Hi'], kwargs={'model': 'sim-1!stall'}, daemon=True).start()",
        "async def main():\n    global stream\n    stream = hub(Hub).stream('Hi', model='sim-1!stall')\n"
        "    await anext(stream.text)\nasyncio.run(main())",
        "async def main():\n    await hub(Hub).complete('Hi')\nasyncio.run(main())",
        "import modelbay.default_hub\nmodelbay.default_hub.default_hub = lambda: H\nH = hub(Blocking)\n"
        "import modelbay\nstream = modelbay.stream('Hi', model='sim-1!stall')\nnext(stream)",
    ],
    ids=["text", "stream", "run", "closed hub", "hub", "call in a thread", "async stream", "async hub", "default hub"],
)
def test_a_program_ends_with_everything_open(tmp_path: Path, code: str) -> None:
    assert ran(tmp_path, f"{code}\nprint('the end')") == ["the end"]


@pytest.mark.parametrize("proxy", ["URL", "'http://127.0.0.1:9'"], ids=["open connection", "no connection"])
@pytest.mark.parametrize("call", ["main()", "h = main()"], ids=["dropped hub", "open hub"])
def test_a_program_ends_with_connections_to_a_proxy(tmp_path: Path, proxy: str, call: str) -> None:
    """aiohttp, which makes these, reports sessions that were not closed."""
    code = f"""
os.environ["HTTP_PROXY"] = {proxy}
def main():
    made = Blocking.of(base_url="http://provider.example/v1", model="sim-1")
    try:
        made.complete("Hi", retries=0)
    except ModelbayError as error:
        print(error.request)
    return made
{call}
"""
    assert ran(tmp_path, code) in ([], ["POST http://provider.example/v1/chat/completions"])


def test_a_dropped_hub_leaves_no_thread_and_no_connection(tmp_path: Path) -> None:
    code = """
for _ in range(20):
    made = hub(Blocking)
    made.complete("Hi")
    next(made.stream("Hi", model="sim-1!stall"))
del made
gc.collect()
for thread in threading.enumerate():
    if thread.name == "modelbay":
        thread.join()
print(threads())
"""
    assert ran(tmp_path, code) == ["0"]


@pytest.mark.parametrize(
    ("reader", "end"),
    [
        ("print(list(stream.text)[:0])", "[]"),
        ("print(list(stream)[:0])", "[]"),
        ("print(list(run)[:0])", "[]"),
        ("stream.reply()", "IncompleteReply"),
        ("run.reply()", "IncompleteReply"),
    ],
)
def test_another_thread_closes_a_stream_that_is_read(tmp_path: Path, reader: str, end: str) -> None:
    name = "run" if "run" in reader else "stream"
    code = f"""
def read():
    try:
        {reader}
    except ModelbayError as error:
        print(type(error).__name__)

with hub(Blocking) as h:
    {name} = h.{name}("Hi", model="sim-1!stall")
    reading = threading.Thread(target=read)
    reading.start()
    sys.stdin.readline()
    {name}.close()
    reading.join()
    print(h.complete("Hi").text[:13])
"""
    assert ran(tmp_path, code, stops_at="sim-1!stall") == [end, "You asked: Hi"]


def test_a_stream_can_be_closed_after_its_hub(tmp_path: Path) -> None:
    code = """
h = hub(Blocking)
with h.stream("Hi", model="sim-1!stall") as stream, h.run("Hi", model="sim-1!stall") as run:
    next(stream)
    next(run)
    h.close()
print("closed")
"""
    assert ran(tmp_path, code) == ["closed"]


def test_a_stream_keeps_the_hub_that_it_is_of(tmp_path: Path) -> None:
    code = """
stream = hub(Blocking).stream("Hi")
gc.collect()
print("".join(stream.text)[:13])
"""
    assert ran(tmp_path, code) == ["You asked: Hi"]


# --- interrupts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        "h.complete('Hi', model='sim-1!slow-headers')",
        "list(h.stream('Hi', model='sim-1!slow-headers'))",
        "h.run('Hi', model='sim-1!slow-headers').reply()",
        "h.map(['Hi'] * 3, model='sim-1!slow-headers')",
    ],
    ids=["complete", "stream", "run", "map"],
)
def test_an_interrupt_ends_a_blocking_call_and_not_the_hub(tmp_path: Path, call: str) -> None:
    code = f"""
interrupted_when_asked()
with hub(Blocking) as h:
    try:
        {call}
    except KeyboardInterrupt:
        print("interrupted")
    print(h.complete("Hi").text[:13])
print(threads())
"""
    assert ran(tmp_path, code, stops_at="sim-1!slow-headers") == ["interrupted", "You asked: Hi", "0"]


def test_an_exception_of_a_signal_handler_ends_the_call_too(tmp_path: Path) -> None:
    code = """
class Abort(Exception): pass

def abort(*_):
    raise Abort

signal.signal(signal.SIGINT, abort)
interrupted_when_asked()
with hub(Blocking) as h:
    try:
        h.complete("Hi", model="sim-1!slow-headers")
    except Abort:
        print("aborted")
    while asyncio.all_tasks(h._runner._loop):  # the call would go on
        threading.Event().wait(0.01)
    print(h.complete("Hi").text[:13])
"""
    assert ran(tmp_path, code, stops_at="sim-1!slow-headers") == ["aborted", "You asked: Hi"]


@pytest.mark.parametrize(
    "call",
    ["h.complete('Hi')", "''.join(h.stream('Hi').text)", "h.run('Hi').reply()"],
    ids=["complete", "stream", "run"],
)
def test_an_interrupt_at_any_line_leaves_a_hub_that_works(tmp_path: Path, call: str) -> None:
    code = f"""
import linecache

def interrupt_at(line):
    def trace(frame, event, _):
        nonlocal line
        if not frame.f_code.co_filename.endswith(("sync.py", "blocking.py", "threading.py", "futures/_base.py")):
            return None
        at_lock = "with self._lock" in linecache.getline(frame.f_code.co_filename, frame.f_lineno)
        line -= event == "line" and not at_lock  # CPython handles no signal between the end of a block and its lock
        if line == 0:
            raise KeyboardInterrupt
        return trace
    sys.settrace(trace)

with hub(Blocking) as h:
    h.complete("Hi")
    interrupts = 0
    for line in range(1, 60):
        try:
            interrupt_at(line)
            {call}
        except KeyboardInterrupt:
            interrupts += 1
        finally:
            sys.settrace(None)
    gc.collect()
    print(interrupts > 15, h.complete("Hi").text[:13])
print(threads())
"""
    assert ran(tmp_path, code) == ["True You asked: Hi", "0"]


@pytest.mark.parametrize(
    "call",
    [
        "h.map(['Hi', 'Ho'], progress=lambda *_: sys.exit(3))",
        "h.run('Call leave for Paris', tools=[leave]).reply()",
        "list(h.run('Call aleave for Paris', tools=[aleave]))",
    ],
    ids=["progress", "function", "async function"],
)
def test_a_function_that_exits_ends_the_call_and_not_the_loop(tmp_path: Path, call: str) -> None:
    code = f"""
def leave(city: str) -> str:
    "Leave a city."
    sys.exit(3)

async def aleave(city: str) -> str:
    "Leave a city."
    sys.exit(3)

with hub(Blocking) as h:
    try:
        {call}
    except SystemExit as error:
        print("exit", error.code)
    print(h.complete("Hi").text[:13])
print(threads())
"""
    assert ran(tmp_path, code) == ["exit 3", "You asked: Hi", "0"]


def test_an_interrupt_ends_an_event_loop(tmp_path: Path) -> None:
    code = """
interrupted_when_asked()

async def main():
    async with hub(Hub) as h:
        await h.complete("Hi", model="sim-1!slow-headers")

try:
    asyncio.run(main())
except KeyboardInterrupt:
    print("interrupted")
"""
    assert ran(tmp_path, code, stops_at="sim-1!slow-headers") == ["interrupted"]


# --- threads -----------------------------------------------------------------------------------------------------------

MANY = """
failed = []

def guarded(work, *arguments):
    try:
        work(*arguments)
    except BaseException as error:
        failed.append(error)

def at_once(work, count):
    crowd = [threading.Thread(target=guarded, args=(work, number)) for number in range(count)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()
    print(failed or "all", threads())
"""


def test_50_threads_share_a_hub(tmp_path: Path) -> None:
    code = f"""
{MANY}
with hub(Blocking) as h:
    def work(number):
        for round in range(3):
            assert f"Say {{number}} {{round}}." in h.complete(f"Say {{number}} {{round}}").text
            assert f"Say {{number}}." in "".join(h.stream(f"Say {{number}}").text)
    at_once(work, 50)
print(threads())
"""
    assert ran(tmp_path, code) == ["all 1", "0"]


def test_50_threads_have_a_hub_each(tmp_path: Path) -> None:
    code = f"""
{MANY}
def work(number):
    with hub(Blocking) as h:
        assert f"Say {{number}}." in h.complete(f"Say {{number}}").text
at_once(work, 50)
"""
    assert ran(tmp_path, code) == ["all 0"]


def test_calls_that_begin_while_the_hub_is_closed_end_with_it(tmp_path: Path) -> None:
    code = f"""
{MANY}
from modelbay.errors import HubClosed
for _ in range(20):
    h = hub(Blocking)
    begun = threading.Event()
    def work(number):
        if number == 9:
            begun.wait()
            h.close()
            return
        while True:
            try:
                h.complete("Hi")
                begun.set()
            except HubClosed:
                return
    at_once(work, 10)
"""
    assert ran(tmp_path, code) == ["all 0"] * 20


def test_two_event_loops_use_a_hub_at_once(tmp_path: Path) -> None:
    code = f"""
{MANY}
h = hub(Hub)

async def many(number):
    replies = await asyncio.gather(*[h.complete(f"Say {{number}} {{place}}") for place in range(10)])
    assert all(f"Say {{number}} {{place}}." in reply.text for place, reply in enumerate(replies))

at_once(lambda number: asyncio.run(many(number)), 4)
asyncio.run(h.aclose())
"""
    assert ran(tmp_path, code) == ["all 0"]


def test_a_blocking_call_in_the_hubs_own_loop_is_an_error(tmp_path: Path) -> None:
    code = """
h = hub(Blocking)

async def get_weather(city: str) -> str:
    "The weather in a city."
    return h.complete("Hi").text

def get_tide(city: str) -> str:
    "The tide in a city."
    return h.complete("Hi").text[:13]

for tool in (get_weather, get_tide):
    run = h.run(f"Call {tool.__name__} for Paris", tools=[tool])
    run.reply()
    print(run.turns[2].parts[0].parts[0].text[:56])
h.close()
"""
    assert ran(tmp_path, code) == ["RuntimeError: a blocking call in an `async` function tha", "You asked: Hi"]


# --- event loops -------------------------------------------------------------------------------------------------------

RUNNERS = {
    "asyncio.run": "for _ in range(3):\n    asyncio.run(main())",
    "Runner": "with asyncio.Runner() as runner:\n    for _ in range(3):\n        runner.run(main())",
    "uvloop": "import uvloop\nfor _ in range(3):\n    uvloop.run(main())",
    "select": "import selectors\nmade = lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())\n"
    "for _ in range(3):\n    with asyncio.Runner(loop_factory=made) as runner:\n        runner.run(main())",
    "anyio": "import anyio\nfor _ in range(3):\n    anyio.run(main)",
    "threads": "for _ in range(3):\n    thread = threading.Thread(target=lambda: asyncio.run(main()))\n"
    "    thread.start()\n    thread.join()",
    "eager tasks": "def made():\n    loop = asyncio.new_event_loop()\n"
    "    if hasattr(asyncio, 'eager_task_factory'):\n        loop.set_task_factory(asyncio.eager_task_factory)\n    return loop\n"
    "for _ in range(3):\n    with asyncio.Runner(loop_factory=made) as runner:\n        runner.run(main())",
}


@pytest.mark.parametrize("runner", RUNNERS.values(), ids=RUNNERS)
def test_a_hub_runs_in_every_event_loop(tmp_path: Path, runner: str) -> None:
    code = f"""
h = hub(Hub)

async def main():
    try:
        async with asyncio.timeout(0):
            await h.complete("Hi", model="sim-1!stall")
    except TimeoutError:
        pass
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(h.complete(f"Say {{number}}")) for number in range(5)]
    assert all(f"Say {{number}}." in call.result().text for number, call in enumerate(calls))
    async with h.stream("Hi") as stream:
        async for text in stream.text:
            break
    left = h.stream("Hi", model="sim-1!stall")
    await anext(left)
    while len(asyncio.all_tasks()) > 1:
        await asyncio.sleep(0.01)
    print("ended")

{runner}
"""
    assert ran(tmp_path, code) == ["ended"] * 3


def test_a_blocking_hub_works_inside_a_running_loop(tmp_path: Path) -> None:
    code = """
async def main():
    with hub(Blocking) as h:
        print(h.complete("Hi").text[:13])
        print("".join(h.stream("Yo").text)[:13])

asyncio.run(main())
"""
    assert ran(tmp_path, code) == ["You asked: Hi", "You asked: Yo"]


# --- processes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_processes_of_every_kind_make_calls(tmp_path: Path, method: str) -> None:
    code = f"""
def work(name):
    with hub(Blocking) as own:
        return own.complete(name).text[:13]

def call(queue):
    queue.put(work("Yo"))
    if "{method}" == "fork":
        queue.put(SHARED.complete("Ho").text[:13])

if __name__ == "__main__":
    SHARED = hub(Blocking)
    SHARED.complete("Hi")
    warnings = __import__("warnings")
    warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads
    context = multiprocessing.get_context("{method}")
    queue = context.SimpleQueue()
    child = context.Process(target=call, args=[queue])
    child.start()
    print(queue.get())
    if "{method}" == "fork":
        print(queue.get())
    child.join()
    print(child.exitcode, SHARED.complete("Hi").text[:13])
"""
    shared = ["You asked: Ho"] if method == "fork" else []
    assert ran(tmp_path, code) == ["You asked: Yo", *shared, "0 You asked: Hi"]
