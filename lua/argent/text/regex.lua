-- Regular expressions with Unicode properties, by PCRE2 with its JIT. Only what the tokenizer
-- needs: compile, and find the next match. The text must be valid UTF-8, which is checked once for
-- a text (argent.text.unicode), not at each match.

local ffi = require 'ffi'
local check = require 'argent.check'
local library = require 'argent.library'
local status = require 'argent.status'

ffi.cdef [[
typedef struct pcre2_real_code_8 pcre2_code_8;
typedef struct pcre2_real_match_data_8 pcre2_match_data_8;
typedef struct pcre2_real_match_context_8 pcre2_match_context_8;
typedef struct pcre2_real_jit_stack_8 pcre2_jit_stack_8;
pcre2_code_8 *pcre2_compile_8(const uint8_t *, size_t, uint32_t, int *, size_t *, void *);
void pcre2_code_free_8(pcre2_code_8 *);
int pcre2_jit_compile_8(pcre2_code_8 *, uint32_t);
pcre2_match_data_8 *pcre2_match_data_create_8(uint32_t, void *);
void pcre2_match_data_free_8(pcre2_match_data_8 *);
size_t *pcre2_get_ovector_pointer_8(pcre2_match_data_8 *);
pcre2_match_context_8 *pcre2_match_context_create_8(void *);
void pcre2_match_context_free_8(pcre2_match_context_8 *);
pcre2_jit_stack_8 *pcre2_jit_stack_create_8(size_t, size_t, void *);
void pcre2_jit_stack_free_8(pcre2_jit_stack_8 *);
void pcre2_jit_stack_assign_8(pcre2_match_context_8 *, void *, void *);
int pcre2_match_8(const pcre2_code_8 *, const uint8_t *, size_t, size_t, uint32_t,
                  pcre2_match_data_8 *, pcre2_match_context_8 *);
int pcre2_get_error_message_8(int, uint8_t *, size_t);
]]

-- The runtime package has only the versioned name.
local lib, missing, why = library.open({'libpcre2-8.so.0', 'pcre2-8'},
  'cannot load PCRE2: install libpcre2-8-0')
if not lib then status.throw(missing, why) end

local UTF, UCP, NO_UTF_CHECK = 0x80000, 0x20000, 0x40000000
local JIT_COMPLETE, NOMATCH, HEAP_FAILED = 1, -1, 121
local STACK_FIRST, STACK_MOST = 2 ^ 15, 2 ^ 23 -- bytes of the JIT's own stack

---@class ag.Regex
local Regex = {}
Regex.__index = Regex

local M = {}

local function message(code)
  local buffer = ffi.new('uint8_t[256]')
  lib.pcre2_get_error_message_8(code, buffer, 256)
  return ffi.string(buffer)
end

local function owned(pointer, free)
  if pointer == nil then error('not enough memory', 0) end
  return ffi.gc(pointer, free)
end

--- Compiles a Perl-compatible regular expression in Unicode mode (\p{L} and its like work).
---@param pattern string valid UTF-8
---@return ag.Regex?
---@return string? err what is wrong with the pattern, and at which byte
function M.compile(pattern)
  check.type(pattern, 'pattern', 'string')
  local code, offset = ffi.new('int[1]'), ffi.new('size_t[1]')
  local compiled = lib.pcre2_compile_8(pattern, #pattern, UTF + UCP, code, offset, nil)
  if compiled == nil then
    if code[0] == HEAP_FAILED then error('not enough memory', 0) end
    return nil, ('%s at byte %d of the pattern'):format(message(code[0]), tonumber(offset[0]) + 1)
  end
  local self = setmetatable({code = owned(compiled, lib.pcre2_code_free_8)}, Regex)
  self.data = owned(lib.pcre2_match_data_create_8(1, nil), lib.pcre2_match_data_free_8)
  self.span = lib.pcre2_get_ovector_pointer_8(self.data)
  self.context = owned(lib.pcre2_match_context_create_8(nil), lib.pcre2_match_context_free_8)
  -- This fails where PCRE2 was built without JIT; pcre2_match then interprets the pattern.
  if lib.pcre2_jit_compile_8(self.code, JIT_COMPLETE) == 0 then
    self.stack = owned(lib.pcre2_jit_stack_create_8(STACK_FIRST, STACK_MOST, nil),
      lib.pcre2_jit_stack_free_8)
    lib.pcre2_jit_stack_assign_8(self.context, nil, self.stack)
  end
  return self
end

--- Finds the first match at or after a byte.
---@param text string valid UTF-8
---@param from integer 1-based, the first byte of a character
---@return integer? first nil where there is no match
---@return integer|string? last or, with nil, the error of a match that was given up
function Regex:find(text, from)
  local rc = lib.pcre2_match_8(self.code, text, #text, from - 1, NO_UTF_CHECK, self.data,
    self.context)
  if rc > 0 then return tonumber(self.span[0]) + 1, tonumber(self.span[1]) end
  if rc ~= NOMATCH then return nil, message(rc) end
end

--- A pattern that matches a string literally.
---@param s string
---@return string
function M.quote(s)
  check.type(s, 's', 'string')
  return (s:gsub('%p', '\\%0'))
end

check.methods(Regex, 'regular expression')

return M
