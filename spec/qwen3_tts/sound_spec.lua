-- One sampled sound per kind of model by the hash of its bytes, on every instruction set of this
-- CPU, so that a change of one bit anywhere between text and wave is seen. The weights of the
-- golden checkpoints are exact in bf16, so f32 and bf16 give the same bits, and all instruction
-- sets the same codes. Samples depend on the instruction set, and but for plain on whether the
-- codec is the fast one, that of bf16 models; amx has AVX-512's f32 codec. avx2, avx512, amx and
-- neon take their functions from kernels/cpu alone, so their hashes hold on every machine. plain
-- takes them from the C library, whose releases and variants differ in the last bit: its hashes
-- hold where that library gives the values they were made with, and elsewhere the samples are
-- within 1e-4 of the official wave.

local ag = require 'argent'
local cases = require 'support.cases'
local compare = require 'support.compare'
local ffi = require 'ffi'
local golden = require 'support.golden'
local hash = require 'support.hash'

local SOUNDS = {
  base = {
    codes = '1d2a88ac4129354d',
    plain = '928f87ea3b25544c', avx2 = '138b19b0b3a1e95c', avx512 = '35c01888ee3774f6',
    neon = 'cc5ba0c0b14bbc25',
    fast = {avx2 = 'd5cb925da2e88f5d', avx512 = '11ae3312d08967d2', amx = 'a52aed60467a3bc7',
      neon = '028ec2b4e3ef0a81'},
  },
  custom = {
    codes = 'aa54b69bccf3afee',
    plain = 'b5f78ce1ff236673', avx2 = 'efc0c60ce92f1daa', avx512 = '10cdda96d17a2d71',
    neon = '6912553ad58aae3b',
    fast = {avx2 = '3f226f716588e6cd', avx512 = '5e03710ed07c661c', amx = '3f5b038b432bb079',
      neon = '4bb19fe7fc3ce3d2'},
  },
  design = {
    codes = '5d6c1e6b93bc8b34',
    plain = 'ad23691d09b7a3ea', avx2 = '8801dadd566f6567', avx512 = '1c06a0ae5b420f3a',
    neon = '1f7b25b81968d83a',
    fast = {avx2 = '18b6cdc136bfa7b4', avx512 = '599097621b79a7f4', amx = '339f78c17f95cb03',
      neon = 'adc2b4d93d8689a6'},
  },
}

-- What hash `libm` gave where those of plain were made (glibc 2.36, x86-64 with FMA).
local LIBM = 'a7c00f655d27cfdb'

ffi.cdef 'float expf(float); float expm1f(float); float sinf(float); float erff(float);'

--- The C library's functions that plain calls, at 4096 places in (-16, 0].
local function libm()
  local values = ffi.new('float[?]', 4 * 4096)
  for i = 0, 4095 do
    local x = -i / 256
    values[4 * i], values[4 * i + 1] = ffi.C.expf(x), ffi.C.expm1f(x)
    values[4 * i + 2], values[4 * i + 3] = ffi.C.sinf(x), ffi.C.erff(x)
  end
  return hash.bytes(values, ffi.sizeof(values))
end

for _, isa in ipairs {'plain', 'avx2', 'avx512', 'amx', 'neon'} do
  local be, missing = ag.backend('cpu', {threads = 2, isa = isa})
  for kind, expected in pairs(SOUNDS) do
    for _, dtype in ipairs {'f32', 'bf16'} do
      it(('the %s model in %s on %s speaks the same bits as ever'):format(kind, dtype, isa),
        function()
        if not be then return pending(missing) end
        -- Always these, as the hashes are of no others.
        local model = {dir = ARGENT_ROOT .. '/spec/fixtures/golden/' .. kind}
        local case
        for _, c in ipairs(golden.json(model.dir .. '/cases.json')) do
          if c.name == 'sampled' then case = c end
        end
        local tts = assert(ag.qwen3_tts.open(model.dir .. '/model', {backend = be, dtype = dtype}))
        local sound = assert(tts:say(cases.options(case, cases.reference(model, be))))
        assert.equal(expected.codes, hash.tensor(sound.codes))
        if isa == 'plain' and libm() ~= LIBM then
          local e = assert(ag.load(model.dir .. '/sampled.safetensors', {backend = be}))
          local n = sound.samples:count()
          local wave = e.wave:narrow(1, 1 + e.wave:count() - n, n)
          assert.is_true(compare.distance(wave, sound.samples) <= 1e-4)
        else
          local fast = dtype == 'bf16' and expected.fast[isa]
          assert.equal(fast or expected[isa == 'amx' and 'avx512' or isa],
            hash.tensor(sound.samples))
        end
      end)
    end
  end
end
