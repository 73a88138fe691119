-- GET /: a page to try the server with. It needs nothing from outside.

local M = {}

local here = debug.getinfo(1, 'S').source:match '^@(.*)page%.lua$'

-- Scripts and styles of the page itself, and sound that it has made; nothing from elsewhere.
local POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
  .. "connect-src 'self'; media-src blob:; img-src data:; base-uri 'none'; form-action 'none'; "
  .. "frame-ancestors 'none'"

--- Answers with the page.
function M.get(_, request)
  if not M.html then
    local f = assert(io.open(here .. 'page.html', 'rb'))
    M.html = f:read '*a'
    f:close()
  end
  request:respond(200, M.html, {
    ['content-type'] = 'text/html; charset=utf-8', ['content-security-policy'] = POLICY,
  })
end

return M
