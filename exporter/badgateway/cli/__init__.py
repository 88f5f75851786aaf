"""The command line: one file for each command."""

from __future__ import annotations

import click

from badgateway import __version__
from badgateway.cli.check import check
from badgateway.cli.completion import completion
from badgateway.cli.deploying import deploying
from badgateway.cli.diagnose import diagnose
from badgateway.cli.discover import discover
from badgateway.cli.explain import explain
from badgateway.cli.reference import reference
from badgateway.cli.serve import serve
from badgateway.cli.verify import verify


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="badgateway")
def main() -> None:
    """Say why the gateway answers 502, 503 or 504, and warn before the first one."""


main.add_command(serve)
main.add_command(diagnose)
main.add_command(explain)
main.add_command(check)
main.add_command(completion)
main.add_command(deploying)
main.add_command(discover)
main.add_command(verify)
main.add_command(reference)
