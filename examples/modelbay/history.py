from pathlib import Path

from modelbay.sync import Hub

with Hub.open() as hub:
    chat = hub.chat()
    chat.complete("Name a city in Germany.")
    Path("chat.json").write_text(chat.dumps())

    chat = hub.load_chat(Path("chat.json").read_text(), model="claude")
    print(chat.complete("What is it famous for?").text)
