"""Training whose weights say little of any one patient: DP-SGD with Opacus, patients as the unit, ε in a ledger."""
