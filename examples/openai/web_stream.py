from collections.abc import AsyncIterator

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from openai import AsyncOpenAI

app = FastAPI()
client = AsyncOpenAI()


async def pieces(question: str) -> AsyncIterator[str]:
    async with client.responses.stream(model="gpt-5-mini", input=question) as stream:
        async for event in stream:
            if event.type == "response.output_text.delta":
                yield event.delta


@app.get("/answer")
async def answer(question: str) -> StreamingResponse:
    return StreamingResponse(pieces(question), media_type="text/plain")
