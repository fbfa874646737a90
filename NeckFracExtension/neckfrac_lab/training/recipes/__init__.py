"""One network a module, whose `TASK` says how it is trained; the module's name is that of the task."""
