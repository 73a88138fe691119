local M = {}
function M.parts(text) return {text} end
return M
