"""Writes spec/fixtures/golden/gguf: a GGUF file with a tensor of each element type that Argent
reads, its blocks filled with seeded random bytes, and the numbers that the `gguf` package of the
Python registry makes of them, as safetensors. Also metadata of every type.

    python scripts/golden/gguf_types.py spec/fixtures/golden/gguf      # needs gguf 0.10.0, numpy
"""
import json
import struct
import sys

import gguf
import numpy as np

SCALES = {  # byte offsets of the f16 numbers of a block
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0],
    "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
}


def random_blocks(rng, name, rows, columns):
    kind = gguf.GGMLQuantizationType[name]
    block, size = gguf.GGML_QUANT_SIZES[kind]
    raw = rng.integers(0, 256, (rows * columns // block, size), dtype=np.uint8)
    for at in SCALES[name]:
        scale = (rng.standard_normal(len(raw)) * 0.05).astype(np.float16)
        raw[:, at:at + 2] = scale.view(np.uint8).reshape(-1, 2)
    return kind, raw.reshape(rows, -1)


def main(folder):
    rng = np.random.default_rng(16)
    writer = gguf.GGUFWriter(f"{folder}/types.gguf", "golden")
    for method, value in [("uint8", 200), ("int8", -100), ("uint16", 60000), ("int16", -30000),
                          ("uint32", 4000000000), ("int32", -2000000000), ("float32", 0.5),
                          ("uint64", 2**40), ("int64", -2**40), ("float64", 0.1)]:
        getattr(writer, f"add_{method}")(f"golden.{method}", value)
    writer.add_bool("golden.yes", True)
    writer.add_string("golden.text", "caf\u00e9")
    writer.add_array("golden.numbers", [3, -1, 4])
    writer.add_array("golden.texts", ["a", "", "\u00e9"])
    values = {}
    for name in SCALES:
        kind, raw = random_blocks(rng, name, 2, 512 if name.endswith("K") else 64)
        writer.add_tensor(name, raw, raw_dtype=kind)
        values[name] = gguf.quants.dequantize(raw, kind).astype(np.float32)
    plain = rng.standard_normal((3, 5)).astype(np.float32)
    for name, array in [("F32", plain), ("F16", plain.astype(np.float16))]:
        writer.add_tensor(name, array)
        values[name] = array.astype(np.float32)
    bf16 = gguf.quants.quantize(plain, gguf.GGMLQuantizationType.BF16)
    writer.add_tensor("BF16", bf16, raw_dtype=gguf.GGMLQuantizationType.BF16)
    values["BF16"] = gguf.quants.dequantize(bf16, gguf.GGMLQuantizationType.BF16)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    header, data = {}, b""
    for name, array in values.items():
        header[name] = {"dtype": "F32", "shape": list(array.shape),
                        "data_offsets": [len(data), len(data) + array.nbytes]}
        data += np.ascontiguousarray(array, np.float32).tobytes()
    text = json.dumps(header).encode()
    with open(f"{folder}/types.safetensors", "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text + data)


main(sys.argv[1])
