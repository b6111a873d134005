from base64 import b64encode
from pathlib import Path

from litellm import completion


def data_url(path: str, media_type: str) -> str:
    return f"data:{media_type};base64,{b64encode(Path(path).read_bytes()).decode()}"


content = [
    {"type": "file", "file": {"filename": "report.pdf", "file_data": data_url("report.pdf", "application/pdf")}},
    {"type": "image_url", "image_url": {"url": data_url("chart.png", "image/png")}},
    {"type": "text", "text": "Does the chart show what the report says?"},
]
response = completion("openai/gpt-5-mini", [{"role": "user", "content": content}])
print(response.choices[0].message.content)
