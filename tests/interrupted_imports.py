"""Runs a script as `python SCRIPT ARGUMENTS...` would, and tries Ctrl-C at many of the imports that it makes.

python interrupted_imports.py EVERY SCRIPT ARGUMENTS...

At each EVERY-th module that is looked for, from the script's first line on, a fork of the process gets SIGINT there, while the
process itself goes on. Prints a JSON object: how many `moments` were tried, and, of forks that did not end with status 130 and
one line on stderr, the `wrong` ones.
"""

import json
import os
import runpy
import signal
import sys
import tempfile


class Interrupting:
    """A finder of modules that finds none, and forks."""

    def __init__(self, every: int):
        self.every, self.looked_for, self.moments, self.wrong = every, 0, 0, []
        self.forked = False

    def find_spec(self, name, path=None, target=None):
        if self.forked or not sys.modules.get("viggo_pipe.interrupt"):
            return
        self.looked_for += 1
        if self.looked_for % self.every:
            return
        with tempfile.TemporaryFile() as said:
            pid = os.fork()
            if not pid:
                self.forked = True
                os.dup2(said.fileno(), 2)
                os.kill(os.getpid(), signal.SIGINT)
                return
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            said.seek(0)
            lines = said.read().decode()
        self.moments += 1
        if code != 130 or lines.count("\n") != 1 or "interrupted" not in lines:
            self.wrong.append([name, code, lines])


if __name__ == "__main__":
    every, *sys.argv = sys.argv[1:]
    interrupting = Interrupting(int(every))
    sys.meta_path.insert(0, interrupting)
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit:
        if interrupting.forked:
            raise
    print(json.dumps({"moments": interrupting.moments, "wrong": interrupting.wrong}))
