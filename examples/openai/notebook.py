# %%
from IPython.display import Markdown, display
from openai import OpenAI

client = OpenAI()

# %%
shown = display(Markdown(""), display_id=True)
text = ""
with client.responses.stream(model="gpt-5-mini", input="Name a city in Germany.") as stream:
    for event in stream:
        if event.type == "response.output_text.delta":
            text += event.delta
            shown.update(Markdown(text))
    first = stream.get_final_response()

# %%
second = client.responses.create(model="gpt-5-mini", input="What is it famous for?", previous_response_id=first.id)
Markdown(second.output_text)

# %%
first.usage.total_tokens + second.usage.total_tokens
