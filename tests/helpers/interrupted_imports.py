"""Runs commands as `python SCRIPT ARGUMENTS...` would, and tries Ctrl-C at many of their imports.

python interrupted_imports.py '[[EVERY, SCRIPT, ARGUMENT, ...], ...]'

At each EVERY-th module that is looked for, from the script's first line on, a fork of the process gets SIGINT
there, while the process itself goes on. The commands run one after the other in one process. Each imports
this project anew, but what an earlier one has imported of other libraries is there already.

Prints a JSON list of an object for each command: how many `moments` were tried, and, of forks that did not
end with status 130 and one line on stderr, the `wrong` ones.
"""

import json
import os
import runpy
import signal
import sys
import tempfile


class Interrupting:
    """A finder of modules that finds none, and forks."""

    def __init__(self) -> None:
        self.forked = False
        self.begin(every=1)

    def begin(self, every: int) -> None:
        """Count anew, for another command."""
        self.every, self.looked_for, self.moments, self.wrong = every, 0, 0, []

    def find_spec(self, name, path=None, target=None):
        if self.forked or not sys.modules.get("viggo_pipe.core.signals"):
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


def start_afresh() -> None:
    """Forget this project's modules, and have the signals do what they do in a new process."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "viggo_pipe"]:
        del sys.modules[name]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


if __name__ == "__main__":
    interrupting, path, found = Interrupting(), list(sys.path), []
    sys.meta_path.insert(0, interrupting)
    for every, *command in json.loads(sys.argv[1]):
        start_afresh()
        interrupting.begin(every)
        sys.argv, sys.path[:] = command, path
        try:
            runpy.run_path(command[0], run_name="__main__")
        except SystemExit as exit_:
            if interrupting.forked:
                os._exit(exit_.code)  # to free all that the process has imported would take it seconds
        found.append({"moments": interrupting.moments, "wrong": interrupting.wrong})
    print(json.dumps(found))
