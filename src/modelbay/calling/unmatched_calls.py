"""Repairs a refused history whose tool calls and results do not match, in a request that was passed on as its client wrote it.

Agents write such histories when they are interrupted, and when they resume a session: Gemini CLI then sends a result twice. A
translated request has been repaired already, see `protocols/repair.py`.
"""

import re
from collections.abc import Mapping

from modelbay.calling.opened import Sending
from modelbay.conversation import Json
from modelbay.errors import BadRequest, Unsupported
from modelbay.protocols.codec import Call

_REFUSED = re.compile(
    r"`?tool_use`? ids? (?:(?:were|was) found without|must be unique)|unexpected `?tool_use_id`?|must have a single result"
    r"|tool_calls'? must be followed by tool messages|insufficient tool messages"
    r"|must be a response to a prec\w+ message with '?tool_calls|'?tool_call_id'? .{0,80}not found in"
    r"|no tool (?:output|call) found for|duplicate function call output"
    r"|function response parts? .{0,40}function call parts?|function (?:call|response) turn comes immediately after"
    r"|not the same number of function calls and responses",
    re.IGNORECASE | re.DOTALL,
)
"""The words of Anthropic, OpenAI, DeepSeek, Google and Mistral."""


def match_results(error: BadRequest, sending: Sending) -> bool:
    """Write the history of a passed call so that each call has one result, if the error says that it has not. Returns whether the
    history was changed. Other fields are not changed.

    Raises:
        MalformedReply: the body is nested too deeply to be changed.
    """
    call, target = sending.call, sending.target
    if call.text is None or not _REFUSED.search(error.message):
        return False
    codec, turns = target.codec, target.codec.PASS.turns
    fields = call.fields
    try:
        conversation = codec.parse_request(Call(call.path, fields, call.headers, stream=call.stream))
        body: Mapping[str, Json] = codec.render_request(conversation, target.model, target.upstream.dialect).body
    except Unsupported:
        return False
    if turns not in body or body[turns] == fields[turns]:
        return False
    call.edit(lambda edited: edited.update({turns: body[turns]}))
    return True
