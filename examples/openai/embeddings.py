from openai import OpenAI

texts = ["How do I reset my password?", "Where is my parcel?", "Can I pay by invoice?"]
response = OpenAI().embeddings.create(model="text-embedding-3-small", input=["I need a new password", *texts])
query, *vectors = [item.embedding for item in response.data]
scores = [sum(a * b for a, b in zip(query, vector, strict=True)) for vector in vectors]
print(texts[scores.index(max(scores))])
