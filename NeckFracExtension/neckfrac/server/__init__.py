"""The web service: studies come in by browser, API or STOW, wait in one durable table, and are analysed by workers.

Not packaged into the Slicer extension; nothing outside this package imports it, except the commands that start it.
"""
