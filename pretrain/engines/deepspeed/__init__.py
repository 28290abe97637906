"""DeepSpeed's ZeRO-1, 2 and 3, with megatron-core's tensor ranks and with masters, moments and weights off the GPU."""
