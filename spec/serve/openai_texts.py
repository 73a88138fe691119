"""What the official client of OpenAI gets of chats and vectors: `openai_texts.py URL`.

Prints what holds, and ends with an exception where something does not.
"""
import json
import sys

import openai

client = openai.OpenAI(base_url=sys.argv[1], api_key="any", max_retries=0)
ask = dict(model="model", messages=[{"role": "user", "content": "Hi"}], max_tokens=7, seed=3,
           temperature=0.8)


def fails(kind, call, **more):
    try:
        call(**more)
    except kind as error:
        print(kind.__name__, error.status_code, error.body["param"])
    else:
        raise AssertionError(f"no {kind.__name__} for {more}")


chat = client.chat.completions.create
whole = chat(**ask)
print(json.dumps(whole.choices[0].message.content))
print(whole.choices[0].finish_reason, whole.usage.completion_tokens)
text, last, usage = "", None, None
for chunk in chat(**ask, stream=True, stream_options={"include_usage": True}):
    usage = chunk.usage or usage
    for choice in chunk.choices:
        text += choice.delta.content or ""
        last = choice.finish_reason or last
assert text == whole.choices[0].message.content and last == whole.choices[0].finish_reason
assert usage.completion_tokens == whole.usage.completion_tokens
print("stream")
vectors = client.embeddings.create(model="bert", input=["hello world", "the cat"])
print(json.dumps([d.embedding for d in vectors.data]))
print(" ".join(m.id for m in client.models.list()))

fails(openai.NotFoundError, chat, **{**ask, "model": "gpt-9"})
fails(openai.BadRequestError, chat, **{**ask, "temperature": 9})
fails(openai.BadRequestError, chat, **{**ask, "messages": []})
fails(openai.BadRequestError, client.embeddings.create, model="bert", input=[[1, 2]])
