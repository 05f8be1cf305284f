"""An operation under way: every situation has one next step; the way out leads through Start."""
