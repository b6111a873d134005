from pydantic_ai import Embedder

texts = ["How do I reset my password?", "Where is my parcel?", "Can I pay by invoice?"]
embedder = Embedder("openai:text-embedding-3-small")
query = embedder.embed_query_sync("I need a new password").embeddings[0]
vectors = embedder.embed_documents_sync(texts).embeddings
scores = [sum(a * b for a, b in zip(query, vector, strict=True)) for vector in vectors]
print(texts[scores.index(max(scores))])
