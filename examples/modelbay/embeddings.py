from modelbay.sync import Hub

texts = ["How do I reset my password?", "Where is my parcel?", "Can I pay by invoice?"]
with Hub.open() as hub:
    query, *vectors = hub.embed(["I need a new password", *texts], model="embeddings").vectors
scores = [sum(a * b for a, b in zip(query, vector, strict=True)) for vector in vectors]
print(texts[scores.index(max(scores))])
