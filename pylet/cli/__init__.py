"""The command line: `pylet VERB …`. Loaded lazily, verb by verb, because `pylet kubectl get` counts milliseconds.

One exit: verbs raise `Failure` (or click's own errors) and `main` turns that into a line on stderr and a status.
"""

import sys

import click

from pylet.cli.failure import Failure
from pylet.cli.lazy import LazyGroup
from pylet.version import VERSION


@click.group(cls=LazyGroup, package="pylet.cli.verbs", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, message="%(prog)s %(version)s")
def cli() -> None:
    """A whole Kubernetes in one program."""


def main(arguments: list[str] | None = None) -> None:
    """Runs one command line and ends the process with its status."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: list[str]) -> int:
    try:
        status = cli.main(arguments, prog_name="pylet", standalone_mode=False)
        sys.stdout.flush()
    except Failure as failure:
        if failure.message:
            print(failure.message, file=sys.stderr)
        return failure.status
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message(), file=sys.stderr)
        return 2
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "pylet"
        print(f"{command}: {error.format_message().rstrip('.')} (see {command} --help)", file=sys.stderr)
        return 2
    except (click.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        # The reader of our output went away, as in `| head`: nobody is left to be told.
        sys.stderr.close()
        return 141
    return status if isinstance(status, int) else 0
