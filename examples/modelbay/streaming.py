import modelbay

with modelbay.stream("Why is the sky blue?") as stream:
    for text in stream.text:
        print(text, end="", flush=True)
    print("\n", stream.reply().usage)
