import modelbay

reply = modelbay.complete("Why is the sky blue?", model=["claude", "gpt"])
print(reply.model, reply.text)
