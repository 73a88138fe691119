-- What a client may ask of the server, and how long it may take for it. GUIDE.md states them.

return {
  -- Counts and sizes.
  connections = 512, -- at once; more wait to be accepted
  headers = 100,     -- lines, by lua-http
  body = 2 ^ 20,     -- bytes of JSON
  recording = 10 * 2 ^ 20 + 65536, -- bytes of a form with a recording of 10 MiB
  recording_seconds = 60,
  held = 64 * 2 ^ 20, -- bytes of all bodies at once
  unread = 256 * 2 ^ 20, -- bytes of sound that all readers together have not taken
  transcript = 4096, -- bytes of what is said in a recording
  input = 4096,      -- characters of a text, unless --max-input says otherwise
  instructions = 4096,
  frames = 7500,     -- of a request: ten minutes
  voices = 100,      -- that clients have made
  texts = 4,         -- chats that are answered side by side
  tokens = 1024,     -- of an answer, unless the request says otherwise
  vectors = 2048,    -- texts of a request for vectors
  pieces = 2 ^ 20,   -- bytes that a WebSocket may bring in all
  message = 65536,   -- bytes of one of its messages

  -- Seconds.
  head = 10,         -- for a request's headers to come
  upload = 30,       -- for its body
  write = 30,        -- for a reader to take what was sent
  keep_alive = 20,   -- for a connection's first byte, and between two requests
  text = 60,         -- for a WebSocket's next piece of text
  linger = 1,        -- for what a refused client still sends
  retry = 2,         -- what a full queue answers, at least
}
