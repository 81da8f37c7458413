"""Runs scripts one after the other, as `python SCRIPT ARGUMENTS...` would, in one process.

python one_process.py 'SCRIPT ARGUMENT ...' 'SCRIPT ...'

The libraries, which take seconds to import, are imported once. The first script that fails ends it, with its
exit status.
"""

import runpy
import sys

if __name__ == "__main__":
    for command in sys.argv[1:]:
        script, *arguments = command.split()
        sys.argv = [script, *arguments]
        try:
            runpy.run_path(script, run_name="__main__")
        except SystemExit as exit_:
            if exit_.code:
                raise
