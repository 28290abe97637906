"""Gold for the tasks, one file a task; `splits.py` holds what they share.

Texts hold placeholders such as [**NAME**] where an identifier would be, as the texts do that models are trained on.
"""
