"""Stands in for PythonSlicer, which is a launcher: it starts Python as a child and waits for it.

By the sources of AppLauncher 0.1.34, which Slicer 5.12 pins: the child inherits stdin, stdout and stderr, a crash of
the child becomes exit status 1, and whoever kills the launcher leaves the child running.
"""

import subprocess
import sys

# Isolated and without site-packages: it starts in some 20 ms.
LAUNCHER = [sys.executable, "-I", "-S", __file__]


def main():
    status = subprocess.Popen(sys.argv[1:]).wait()
    return 1 if status < 0 else status


if __name__ == "__main__":
    sys.exit(main())
