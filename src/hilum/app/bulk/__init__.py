"""Many resources at once: `hilum load` from files into the store, and `$export` from the store into files.

Both go on after a kill where they were: how far they are is committed with what they did. Nothing is imported here:
every command opens the store and its tables (`tables`), few of them need the rest.
"""
