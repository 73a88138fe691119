-- Forms with files (multipart/form-data, RFC 7578), small ones, whole in memory.

local M = {}

local MOST_PARTS, MOST_HEAD = 16, 4096

-- A parameter of a header, quoted or not: name="voice"; filename=a.wav.
local function parameter(header, name)
  local padded = ';' .. header
  return padded:match('[;%s]' .. name .. '="([^"]*)"') or padded:match('[;%s]' .. name
    .. '=([^%s;"]+)')
end

--- The fields of a form.
---@param content_type string of the request
---@param body string
---@return table<string, {value: string, filename: string?}>? fields
---@return string? err
function M.parse(content_type, body)
  local boundary = parameter(content_type, 'boundary')
  if not boundary or #boundary > 70 then return nil, 'the form has no boundary' end
  local mark = '\r\n--' .. boundary
  body = '\r\n' .. body -- so that the first mark is like the others
  local at, stop = body:find(mark, 1, true)
  if not at then return nil, 'the form does not begin with its boundary' end
  local fields, parts = {}, 0
  while true do
    local tail = body:sub(stop + 1, stop + 2)
    if tail == '--' then return fields end
    if tail ~= '\r\n' then return nil, 'the form is damaged behind a boundary' end
    parts = parts + 1
    if parts > MOST_PARTS then
      return nil, ('the form has more than %d parts'):format(MOST_PARTS)
    end
    local head_end, head_stop = body:find('\r\n\r\n', stop + 1, true)
    if not head_end or head_end - stop > MOST_HEAD then return nil, 'a part has no headers' end
    local head = body:sub(stop + 1, head_end)
    at = head_stop + 1
    local next_mark, next_stop = body:find(mark, head_stop - 1, true)
    if not next_mark then return nil, 'the form ends inside a part' end
    local name, filename
    for line in head:gmatch '[^\r\n]+' do
      local value = line:match '^[Cc]ontent%-[Dd]isposition:%s*(.*)$'
      if value then name, filename = parameter(value, 'name'), parameter(value, 'filename') end
    end
    if not name then return nil, 'a part has no name' end
    if fields[name] then return nil, ("the form has '%s' twice"):format(name:gsub('%c', '?')) end
    fields[name] = {value = body:sub(at, next_mark - 1), filename = filename}
    stop = next_stop
  end
end

return M
