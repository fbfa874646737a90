"""Fractures by kind and level, and what only looks like one."""
