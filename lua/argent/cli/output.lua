-- Speech on its way to a file or a pipe: what `say` does for one text.

local captions = require 'argent.cli.captions'
local common = require 'argent.cli.common'
local json = require 'argent.json'
local paths = require 'argent.cli.paths'
local posix = require 'argent.posix'
local sound = require 'argent.cli.sound'
local status = require 'argent.status'

local M = {}

-- hello.wav -> hello.partial.wav: it is a sound file still, but not the one that was asked for.
local function partial_name(path)
  local stem, extension = path:match '^(.*)(%.[^./]+)$'
  return stem and stem .. '.partial' .. extension or path .. '.partial'
end

local function summary(name, stats)
  local line = ('%s: %.2f s of speech in %.2f s'):format(name, stats.seconds, stats.total_time)
  if stats.rtf then
    line = line
      .. (' (RTF %.2f), first audio after %.2f s'):format(stats.rtf, stats.first_audio_time)
  end
  return line .. (', seed %.0f'):format(stats.seed)
end

--- Chunks of a text that comes over standard input while it is spoken; each time what has come is
--- said before more is waited for. Line breaks wait for what follows: at the end they are no part
--- of the text.
---@return fun(): ag.Chunk?
---@return ag.Feed
function M.from_input(tts, opts)
  local feed = tts:feed(opts)
  local chunks, breaks = feed:chunks(), ''
  return function()
    while true do
      local chunk = chunks()
      if chunk or feed:done() then return chunk end
      local piece, fault, errno = posix.read(0)
      local ok, err, code = true, nil, nil
      if piece and piece ~= '' then
        local text
        text, breaks = (breaks .. piece):match '^(.-)([\r\n]*)$'
        ok, err, code = feed:write(text)
      elseif piece then ok, err, code = feed:finish()
      elseif errno ~= posix.EINTR then ok, err, code = nil, 'standard input: ' .. fault, 'io' end
      if not ok then status.throw(err, code) end
    end
  end, feed
end

-- Runs the chunks into the writer. Errors that scripts would see as raised come back as nil, err,
-- code.
local function write(next_chunk, speech, writer, label)
  local progress = common.progress()
  local ok, err, code
  local done, fault = pcall(function()
    for chunk in next_chunk do
      local samples, n = chunk.samples:host()
      ok, err, code = writer:write(samples, n)
      chunk.samples:release()
      if not ok then return end
      local stats = speech:stats()
      progress(('%s%d frames, %.1f s of speech, RTF %.2f'):format(label, stats.frames,
        stats.seconds, stats.rtf or 0))
    end
    ok = true
  end)
  progress()
  if not done then
    if status.is_fault(fault) then return nil, fault.message, fault.code end
    error(fault, 0)
  end
  return ok, err, code
end

local function tell_plan(u)
  local program, n, barriers = u.batch.program, 0, 0
  if not program then return end
  for _, step in ipairs(program) do
    if type(step) == 'table' then n, barriers = n + step.ops, barriers + step.barriers end
  end
  common.note(('plan: a frame is %d ops in %d plan%s with %d barriers'):format(n, #program,
    #program == 1 and '' or 's', barriers))
end

local function tell(speech, verbose)
  local u = speech.utterance
  for _, note in ipairs(u.prompt.notes) do common.note(note) end
  if not verbose then return end
  common.note(('prompt: %d rows in %.0f ms, layout %s, %d part%s, seed %.0f'):format(u.prompt_rows,
    u.prefill_time * 1e3, u.prompt.layout, #u.parts, #u.parts == 1 and '' or 's', u.seed))
end

--- Writes what chunks bring to an output, whole or not at all.
---@param tts ag.Synthesizer
---@param next_chunk fun(): ag.Chunk?
---@param speech ag.SpeechSoFar|ag.Feed
---@param args table output?, bits, play?, codes?, srt?, vtt?, words?, verbose?, json?; label: in
---front of the progress line; about: more for --json
---@return table? stats of the speech
---@return string? err
---@return string? code
function M.save(tts, next_chunk, speech, args)
  local writer, err, code = sound.create(args, tts.codec.rate)
  if not writer then return nil, err, code end
  local done, ok
  done, ok, err, code = pcall(write, next_chunk, speech, writer, args.label or '')
  if not done or not ok then
    writer:abort()
    if not done then error(ok, 0) end
    return nil, err, code
  end
  speech = speech.speech or speech -- of a feed
  tell(speech, args.verbose)
  if args.verbose then tell_plan(speech.utterance) end
  local stats = speech:stats()
  local runaway = stats.ended == 'runaway'
  local name, codes_name = args.output, args.codes
  local times = {speed = args.speed}
  for _, kind in ipairs(captions.KINDS) do times[kind] = args[kind] end
  if runaway then
    name = name and name ~= '-' and partial_name(name) or name
    codes_name = codes_name and partial_name(codes_name)
    for _, kind in ipairs(captions.KINDS) do
      times[kind] = times[kind] and partial_name(times[kind])
    end
  end
  ok, err, code = writer:finish {as = name ~= args.output and name or nil}
  if not ok then return nil, err, code end
  if codes_name then
    local text = json.encode {codes = speech:codes():totable()} .. '\n'
    ok, err, code = common.write_file(codes_name, text)
    if not ok then return nil, err, code end
  end
  ok, err, code = captions.write(tts, speech, times)
  if not ok then return nil, err, code end
  common.note(summary(sound.name(name), stats))
  if runaway then
    local kept = name and name ~= '-' and '; kept as ' .. paths.shown(name) or ''
    return nil, tts.runaway_message(stats):gsub('max_frames', '--max-frames') .. kept, 'runaway'
  end
  if args.json then
    stats.file = name
    for k, v in pairs(args.about or {}) do stats[k] = v end
    ok, err, code = common.print(json.encode(stats))
    if not ok then return nil, err, code end
  end
  return stats
end

return M
