"""The trunk below the neck, from published measures: what must not be taken for one."""
