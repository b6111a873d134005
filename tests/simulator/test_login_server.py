"""The behaviors of the simulator's login server."""

from http.client import HTTPConnection

import pytest

from modelbay.simulator import Simulator
from modelbay.simulator.login_server import SPECS, LoginBehavior, behavior_of


@pytest.mark.parametrize(
    ("specs", "manner"),
    [
        ([], LoginBehavior()),
        (["approve"], LoginBehavior(approve_after=2)),
        (["approve=0"], LoginBehavior(approve_after=0)),
        (["wait", "lasts=60", "interval=1.5"], LoginBehavior(approve_after=None, token_lasts=60, interval=1.5)),
        (["slow-down*2", "expire", "deny"], LoginBehavior(faults=["slow_down", "slow_down", "expired", "denied"])),
        (["revoke", "drop", "500"], LoginBehavior(revoked=True, faults=["drop", "500"])),
    ],
)
def test_specs_say_how_it_behaves(specs: list[str], manner: LoginBehavior) -> None:
    assert behavior_of(specs) == manner


@pytest.mark.parametrize("name", SPECS)
def test_every_spec_does_something(name: str) -> None:
    spec = name if name != "approve" else "approve=5"
    assert behavior_of([f"{spec}=60" if name in ("lasts", "interval") else spec]) != LoginBehavior()


@pytest.mark.parametrize("spec", ["", "explode", "deny=x", "deny*", "Deny"])
def test_an_unknown_behavior_is_refused(spec: str) -> None:
    with pytest.raises(ValueError, match="must be one of approve, wait"):
        behavior_of([spec])


def test_a_code_has_a_page_with_its_two_answers() -> None:
    with Simulator() as simulator:
        asking = HTTPConnection(simulator.host, simulator.port)
        asking.request("GET", "/simulate/approve?user_code=AB12-CD34%22%3E%3Cscript%3E")
        answer = asking.getresponse()
        page = answer.read().decode()
        asking.close()
    assert answer.status == 200
    assert "/simulate/approve?user_code=AB12-CD34script" in page and "/simulate/deny?" in page and "<script" not in page
