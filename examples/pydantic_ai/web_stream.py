from collections.abc import AsyncIterator

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from pydantic_ai import Agent

app = FastAPI()
agent = Agent("openai:gpt-5-mini")


async def pieces(question: str) -> AsyncIterator[str]:
    async with agent.run_stream(question) as result:
        async for text in result.stream_text(delta=True):
            yield text


@app.get("/answer")
async def answer(question: str) -> StreamingResponse:
    return StreamingResponse(pieces(question), media_type="text/plain")
