"""How a probe does what it is told: a command a line on its standard input, an answer a line on its standard output."""

import json
import os
import sys


def obey(perform, **failure):
    """Says that it is there, then answers every command with what `perform` makes of it.

    An exception is an answer too, with the words of `failure`.
    """
    print(json.dumps({"ok": True, "pid": os.getpid(), "uid": os.getuid()}), flush=True)
    for line in sys.stdin:
        try:
            answer = perform(json.loads(line))
        except Exception as error:  # pylint: disable=broad-except
            answer = {"ok": False, "error": f"{type(error).__name__}: {error}", **failure}
        print(json.dumps(answer), flush=True)


def obey_by_name(*functions):
    """The same where a command's `do` names the function that performs it."""
    named = {function.__name__: function for function in functions}
    obey(lambda command: named[command["do"]](command))
