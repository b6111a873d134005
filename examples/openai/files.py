from base64 import b64encode
from pathlib import Path

from openai import OpenAI


def data_url(path: str, media_type: str) -> str:
    return f"data:{media_type};base64,{b64encode(Path(path).read_bytes()).decode()}"


content = [
    {"type": "input_file", "filename": "report.pdf", "file_data": data_url("report.pdf", "application/pdf")},
    {"type": "input_image", "image_url": data_url("chart.png", "image/png")},
    {"type": "input_text", "text": "Does the chart show what the report says?"},
]
response = OpenAI().responses.create(model="gpt-5-mini", input=[{"role": "user", "content": content}])
print(response.output_text)
