# %%
from modelbay.sync import Hub

chat = Hub.open().chat()

# %%
for text in chat.stream("Name a city in Germany.").text:
    print(text, end="", flush=True)

# %%
print(chat.complete("What is it famous for?").text)

# %%
print(chat.usage.total)
