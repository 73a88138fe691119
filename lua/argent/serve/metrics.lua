-- What the server has done and is doing, as Prometheus reads it.

local M = {}

-- Upper bounds of what is counted, seconds.
local BOUNDS = {0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30}

local HELP = {
  argent_requests_total = {'counter', 'Requests by route and status.'},
  argent_refused_total = {'counter', 'Requests that were not begun, by reason.'},
  argent_speech_ended_total = {'counter', 'Speech by how it ended.'},
  argent_tokens_total = {'counter', 'Tokens of text written.'},
  argent_frames_total = {'counter', 'Frames of speech made, 80 ms each.'},
  argent_speech_seconds_total = {'counter', 'Seconds of speech made.'},
  argent_work_seconds_total = {'counter', 'Seconds that making frames has taken.'},
  argent_first_audio_seconds = {'histogram', 'From a request to its first sound.'},
  argent_queue_waiting = {'gauge', 'Requests that wait for a row.'},
  argent_rows_speaking = {'gauge', 'Rows that speak.'},
  argent_rows = {'gauge', 'Rows that there are.'},
  argent_frames_per_second = {'gauge', 'Frames made a second, while any were, lately.'},
  argent_real_time_factor = {'gauge', 'Seconds of work for a second of sound, lately.'},
  argent_connections = {'gauge', 'Open connections.'},
}

---@class argent.Metrics
local Metrics = {}
Metrics.__index = Metrics

function M.new()
  local self = setmetatable({values = {}, buckets = {}, sum = 0, count = 0}, Metrics)
  for i = 1, #BOUNDS + 1 do self.buckets[i] = 0 end
  for name, help in pairs(HELP) do
    if help[1] ~= 'histogram' then self.values[name] = {} end
  end
  self:add('argent_frames_total', 0)
  return self
end

--- Counts on.
---@param name string
---@param n number
---@param labels? string as Prometheus writes them: route="/health",status="200"
function Metrics:add(name, n, labels)
  local of = self.values[name]
  of[labels or ''] = (of[labels or ''] or 0) + n
end

--- Sets a gauge.
function Metrics:set(name, value)
  self.values[name][''] = value
end

--- Notes how long a first sound took.
function Metrics:first_audio(seconds)
  local i = 1
  while BOUNDS[i] and seconds > BOUNDS[i] do i = i + 1 end
  self.buckets[i] = self.buckets[i] + 1
  self.sum, self.count = self.sum + seconds, self.count + 1
end

-- The buckets of a histogram, each with all that is below it.
local function histogram(self, out, name)
  local below = 0
  for i = 1, #BOUNDS + 1 do
    below = below + self.buckets[i]
    out[#out + 1] = ('%s_bucket{le="%s"} %d'):format(name, BOUNDS[i] or '+Inf', below)
  end
  out[#out + 1] = ('%s_sum %.6f'):format(name, self.sum)
  out[#out + 1] = ('%s_count %d'):format(name, self.count)
end

--- All of it as text.
---@return string
function Metrics:text()
  local names, out = {}, {}
  for name in pairs(HELP) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local kind, help = HELP[name][1], HELP[name][2]
    out[#out + 1] = ('# HELP %s %s'):format(name, help)
    out[#out + 1] = ('# TYPE %s %s'):format(name, kind)
    if kind == 'histogram' then
      histogram(self, out, name)
    else
      local labels = {}
      for label in pairs(self.values[name]) do labels[#labels + 1] = label end
      table.sort(labels)
      for _, label in ipairs(labels) do
        out[#out + 1] = ('%s%s %.10g'):format(name, label ~= '' and '{' .. label .. '}' or '',
          self.values[name][label])
      end
    end
  end
  return table.concat(out, '\n') .. '\n'
end

return M
