"""One module per command. Each offers `command` (a function) or `app` (a cyclopts App with sub-commands)."""
