-- Says what the CUDA backend is here, or ends with 1 and the reason.

local be, err = require('argent').backend 'cuda'
print(be or err)
if not be then os.exit(1, true) end
