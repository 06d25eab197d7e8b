"""The command line: ``python -m rrahelpers analyse|train|experiment|search|measure|figures|claims|list|cache``."""

import argparse
import sys
from collections.abc import Sequence

from rrahelpers.data import DataError
from rrahelpers.report import command as report
from rrahelpers.study import command as study, search_command, train_command
from rrahelpers.training.runs import RunError


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m rrahelpers", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for part in (report, train_command, search_command, study):
        part.add_arguments(commands)
    options = parser.parse_args(arguments)
    try:
        return options.run(options)
    except (ValueError, TypeError, FileNotFoundError) as error:  # what the user asked for does not exist
        parser.error(str(error))
    except (RunError, DataError, OSError) as error:  # what is stored cannot be used, or nothing can be stored
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    # what the terminal's encoding lacks is shown as an escape
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # it is a TextIOWrapper
    sys.exit(main())
