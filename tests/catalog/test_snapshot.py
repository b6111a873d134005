"""Extraction of the built-in list from a program, and the facts that are kept."""

import pytest

from tools.snapshot import compact, notice, read

PROGRAM = b"""\x7fELF\x00 var a=`{b:{id:1}}`,list=n.sync(()=>({acme:{id:"acme",env:["ACME_KEY"],npm:"@ai-sdk/openai-compatible",
name:"Acme",doc:"https://acme.example",models:{"b/m-2":{id:"b/m-2",name:`M "2"`,description:"Very } fast {",reasoning:!0,
tool_call:!1,limit:{context:1e6,output:8192},cost:{input:.5,output:1.5}},"m-1":{id:"m-1",name:'M 1',knowledge:"2025-01"}}},
other:{id:"other",env:[],models:{}}})),rest=()=>{}\x00\xff"""


def test_a_list_inside_a_program_is_read_as_values():
    found = read(PROGRAM)
    assert list(found) == ["acme", "other"]
    assert found["acme"]["models"]["b/m-2"] == {
        "id": "b/m-2", "name": 'M "2"', "description": "Very } fast {", "reasoning": True, "tool_call": False,
        "limit": {"context": 1e6, "output": 8192}, "cost": {"input": 0.5, "output": 1.5},
    }  # fmt: skip


def test_descriptions_are_left_out_and_integers_stay_integers():
    kept = compact(read(PROGRAM))["acme"]
    assert list(kept["models"]) == ["b/m-2", "m-1"]
    assert kept["models"]["m-1"] == {"id": "m-1", "name": "M 1"}
    assert "description" not in kept["models"]["b/m-2"]
    assert type(kept["models"]["b/m-2"]["limit"]["context"]) is int


def test_the_list_itself_is_read_too():
    assert read(b' {"acme": {"models": {}}}') == {"acme": {"models": {}}}


def test_a_file_without_a_list_is_refused():
    with pytest.raises(SystemExit, match="no list of models"):
        read(b"\x7fELF nothing here")
    with pytest.raises(SystemExit, match="has no end"):
        read(PROGRAM[:300])


def test_the_notice_says_where_it_is_from_and_under_which_license():
    text = notice("2026-09-30", "program 1.2")
    assert "as of 2026-09-30, read from program 1.2" in text and "MIT License" in text
