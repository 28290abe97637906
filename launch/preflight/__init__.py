"""What is looked at before a run starts, beyond the machine that `launch.doctor` knows: disk, nodes and links."""
