/* embed.cu: the op embedding, see small.cuh. */
#include "small.cuh"

EACH(embedding, agi_embedding_args, embedding_item, a->rows * a->n)
