"""What drives model, optimizer and communication: megatron-core or DeepSpeed behind one interface, `base.Engine`."""
