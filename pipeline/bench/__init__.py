"""The bench: the original lab's way and ours, side by side, and what work costs as it grows."""
