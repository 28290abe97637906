"""FLOPs a token and the share of the hardware's peak that a run reaches.

The count is of matrix products alone, forward and backward (3 x forward), with the language-model head and all of the
last layer but its query, key and value at masked positions only, since that is what is computed (on CUDA the last
layer's scores at all positions, which is not counted). Attention is counted at the full row length, which for packed
pieces overstates it slightly: at length 512 and width 1,024 it is 8% of a layer.
"""

DENSE_BF16_PEAK = {
    "H200": 989e12,
    "H100": 989e12,
    "A100": 312e12,
    "B200": 2250e12,
}
"""Dense bf16 FLOP/s on paper by a part of the device's name; MFU is stated against these."""


def train_flops_per_token(
    *, num_layers: int, hidden_size: int, ffn_hidden_size: int, vocab_size: int, seq_len: int, mask_probability: float
) -> float:
    """FLOPs to train on one token of a row of `seq_len`, or that attends to so many.

    345M parameters (24 x 1024, vocabulary 50,176, length 512, 15% masked) give 1.957e9; 2.010e9 were the last
    layer computed everywhere, as it is with sequence parallelism.
    """
    query_key_value = num_layers * 2 * 3 * hidden_size**2
    scores, output, feed_forward = 2 * 2 * seq_len * hidden_size, 2 * hidden_size**2, 4 * hidden_size * ffn_hidden_size
    rest_of_layers = (num_layers - 1 + mask_probability) * (scores + output + feed_forward)
    head = mask_probability * 2 * (hidden_size**2 + hidden_size * vocab_size)
    return 3 * (query_key_value + rest_of_layers + head)


def dense_peak(device_name: str) -> float | None:
    """Dense bf16 FLOP/s of a device by its name; None where no peak is published, as for CPUs."""
    return next((peak for part, peak in DENSE_BF16_PEAK.items() if part in device_name), None)
