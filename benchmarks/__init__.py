"""Side-by-side timings against peers, and memory; what they gave is in results/."""
