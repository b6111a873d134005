# %%
from IPython.display import Markdown, display
from litellm import completion

model = "openai/gpt-5-mini"

# %%
messages = [{"role": "user", "content": "Name a city in Germany."}]
shown = display(Markdown(""), display_id=True)
text, tokens = "", 0
for chunk in completion(model, messages, stream=True, stream_options={"include_usage": True}):
    if chunk.choices:
        text += chunk.choices[0].delta.content or ""
        shown.update(Markdown(text))
    if usage := getattr(chunk, "usage", None):
        tokens += usage.total_tokens

# %%
messages += [{"role": "assistant", "content": text}, {"role": "user", "content": "What is it famous for?"}]
response = completion(model, messages)
tokens += response.usage.total_tokens
Markdown(response.choices[0].message.content)

# %%
tokens
