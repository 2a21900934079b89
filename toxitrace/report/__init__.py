"""Marked text for people: terminal and HTML. Import the module you need; ``rich`` loads on first use."""
