"""The simulator's login server: what it can be told to do."""

from http.client import HTTPConnection

import pytest

from modelbay.simulator import Simulator
from modelbay.simulator.authorisation import SPECS, Manner, manner_of


@pytest.mark.parametrize(
    ("specs", "manner"),
    [
        ([], Manner()),
        (["approve"], Manner(approve_after=2)),
        (["approve=0"], Manner(approve_after=0)),
        (["wait", "lasts=60", "interval=1.5"], Manner(approve_after=None, token_lasts=60, interval=1.5)),
        (["slow-down*2", "expire", "deny"], Manner(faults=["slow_down", "slow_down", "expired", "denied"])),
        (["revoke", "drop", "500"], Manner(revoked=True, faults=["drop", "500"])),
    ],
)
def test_specs_say_how_it_behaves(specs: list[str], manner: Manner) -> None:
    assert manner_of(specs) == manner


@pytest.mark.parametrize("name", SPECS)
def test_every_spec_does_something(name: str) -> None:
    spec = name if name != "approve" else "approve=5"
    assert manner_of([f"{spec}=60" if name in ("lasts", "interval") else spec]) != Manner()


@pytest.mark.parametrize("spec", ["", "explode", "deny=x", "deny*", "Deny"])
def test_what_is_no_spec_is_refused(spec: str) -> None:
    with pytest.raises(ValueError, match="there are approve, wait"):
        manner_of([spec])


def test_a_code_has_a_page_with_its_two_answers() -> None:
    with Simulator() as simulator:
        asking = HTTPConnection(simulator.host, simulator.port)
        asking.request("GET", "/simulate/approve?user_code=AB12-CD34%22%3E%3Cscript%3E")
        answer = asking.getresponse()
        page = answer.read().decode()
        asking.close()
    assert answer.status == 200
    assert "/simulate/approve?user_code=AB12-CD34script" in page and "/simulate/deny?" in page and "<script" not in page
