"""Necks that are built from published measures: bones, joints and soft tissue of one person after another."""
