"""The program `ggn`; as `python -m ggn` it takes the code of the folder it is started in."""

import signal
import sys


def main() -> None:
    """Run the command. Ctrl-C ends it without a traceback, while Python still imports it, too."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from ggn.cli import main as run

    signal.signal(signal.SIGINT, signal.default_int_handler)
    run()


if __name__ == "__main__":
    sys.argv[0] = "ggn"
    main()
