from collections.abc import AsyncIterator

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from litellm import acompletion

app = FastAPI()


async def pieces(question: str) -> AsyncIterator[str]:
    stream = await acompletion("openai/gpt-5-mini", [{"role": "user", "content": question}], stream=True)
    async for chunk in stream:
        yield chunk.choices[0].delta.content or ""


@app.get("/answer")
async def answer(question: str) -> StreamingResponse:
    return StreamingResponse(pieces(question), media_type="text/plain")
