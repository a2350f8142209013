"""The program `ggn`; `python -m ggn` runs the code of the folder in which it is started."""

import signal
import sys


def main() -> None:
    """Run the command. Ctrl-C ends it without a traceback, even while Python still imports it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from ggn.cli import main as run

    signal.signal(signal.SIGINT, signal.default_int_handler)
    run()


if __name__ == "__main__":
    sys.argv[0] = "ggn"
    main()
