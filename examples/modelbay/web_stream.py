from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from modelbay import Hub

app = FastAPI()
hub = Hub.open()


@app.get("/answer")
async def answer(question: str) -> StreamingResponse:
    return StreamingResponse(hub.stream(question).text, media_type="text/plain")
