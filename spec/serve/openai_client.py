"""What the official client of OpenAI gets from `argent serve`: run as `openai_client.py URL KEY`.

Prints a line for each thing that holds, and ends with an exception where one does not.
"""
import hashlib
import sys

import openai

url, key = sys.argv[1:3]
client = openai.OpenAI(base_url=url, api_key=key, max_retries=0)
own = {"argent": {"seed": 1, "max_frames": 6}}


def speak(**more):
    fields = dict(model="tts-1", voice="ryan", input="One two.", response_format="wav",
                  extra_body=own)
    fields.update(more)
    return client.audio.speech.create(**fields)


def fails(kind, **more):
    try:
        speak(**more)
    except kind as error:
        assert error.body["message"], error
        print(kind.__name__, error.status_code, error.body["param"])
    else:
        raise AssertionError(f"no {kind.__name__} for {more}")


wav = speak().content
assert wav[:4] == b"RIFF"
print("wav", hashlib.sha256(wav[44:]).hexdigest())
print("pcm", hashlib.sha256(speak(response_format="pcm").content).hexdigest())
mp3 = speak(response_format="mp3").content
assert mp3[0] == 0xFF and mp3[1] & 0xE0 == 0xE0
print("mp3")

streaming = client.audio.speech.with_streaming_response.create(
    model="tts-1", voice={"id": "ryan"}, input="One two.", response_format="pcm",
    speed=1.0, extra_body=own)
with streaming as response:
    parts = [part for part in response.iter_bytes()]
print("stream", hashlib.sha256(b"".join(parts)).hexdigest())

with client.audio.speech.with_streaming_response.create(
        model="tts-1", voice="ryan", input="One two.", response_format="pcm",
        stream_format="sse", extra_body=own) as response:
    events = [line for line in response.iter_lines() if line.startswith("data: ")]
assert "speech.audio.done" in events[-1], events[-1]
print("sse", len(events) > 2)

fails(openai.BadRequestError, voice="nobody")
fails(openai.BadRequestError, speed=9.0)
fails(openai.BadRequestError, extra_body={"argent": {"sed": 1}})
fails(openai.NotFoundError, model="gpt-9")
fails(openai.InternalServerError, extra_headers={"X-Break": "1"})
try:
    with client.audio.speech.with_streaming_response.create(
            model="tts-1", voice="ryan", input="One two three.", response_format="pcm",
            extra_body=own, extra_headers={"X-Break": "4"}) as response:
        for part in response.iter_bytes():
            pass
except Exception as error:  # the class is that of its HTTP library
    print("cut", type(error).__name__)
else:
    raise AssertionError("speech that was cut passed for whole")
client = openai.OpenAI(base_url=url, api_key="wrong", max_retries=0)
fails(openai.AuthenticationError)
client = openai.OpenAI(base_url=url, api_key=key, max_retries=0)
print("models", [m.id for m in client.models.list()])
