from openai import OpenAI

client = OpenAI()
with client.responses.stream(model="gpt-5-mini", input="Why is the sky blue?") as stream:
    for event in stream:
        if event.type == "response.output_text.delta":
            print(event.delta, end="", flush=True)
    print("\n", stream.get_final_response().usage)
