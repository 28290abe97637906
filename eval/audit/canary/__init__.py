"""Canaries: sentences of random words planted among the notes, by which memorising is measured exactly.

Each canary is put in or left out by a coin, so what would have happened without it is known. Exposure (Carlini et al.
2019, "The Secret Sharer") is log2 of the number of sentences that might have been drawn less log2 of the rank that
the planted one has among them by the model's likelihood. Guessing from one trained model which coins fell on "in" gives
a lower bound on ε (Steinke, Nasr and Jagielski 2023, "Privacy Auditing with One Training Run").
"""
