"""The rooms of the NeckFrac module: widget, logic, the worker's client, installation, self-test."""
