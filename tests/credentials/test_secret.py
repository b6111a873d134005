import pickle
from io import StringIO

import msgspec
import pytest
from rich.console import Console

from modelbay.credentials.secret import Secret
from modelbay.origin import origin

HOME = origin("https://api.example/v1")
SECRET = Secret("sk-1234", HOME)


def test_a_secret_tells_its_value_only_when_asked():
    output = StringIO()
    Console(file=output).print(SECRET, {"key": SECRET})
    shown = [str(SECRET), repr(SECRET), f"{SECRET}", f"{SECRET:>40}", repr([SECRET]), "%s" % SECRET, output.getvalue()]  # noqa: UP031
    assert not any("1234" in text for text in shown)
    assert SECRET.reveal() == "sk-1234"


def test_a_secret_is_neither_pickled_nor_written_as_json():
    with pytest.raises(TypeError):
        pickle.dumps(SECRET)
    with pytest.raises(TypeError):
        msgspec.json.encode(SECRET)


def test_a_secret_stays_bound_to_its_origin():
    assert SECRET.prefixed("Bearer ").origin == HOME
    assert SECRET.prefixed("Bearer ").reveal() == "Bearer sk-1234"
    assert Secret("sk-1234", origin("https://other.example")) != SECRET
    assert {Secret("sk-1234", HOME)} == {SECRET}
