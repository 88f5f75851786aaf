"""``python -m badgateway.reference [CHECKOUT]`` writes what is generated into a checkout."""

from __future__ import annotations

import sys
from pathlib import Path

from badgateway.cli import main as program
from badgateway.reference import PAGES, example, page

CHECKOUT = Path(__file__).resolve().parents[3]


def files(root: Path) -> dict[Path, str]:
    """Return every generated file of a checkout at ``root`` with its text."""
    folder = root / "exporter" / "reference"
    found = {folder / f"{name}.md": page(name, program) for name in PAGES}
    found[root / "deploy" / "badgateway.example.yml"] = example.text()
    return found


def main(arguments: list[str]) -> int:
    """Write the files; return the exit code."""
    if len(arguments) > 1 or any(argument.startswith("-") for argument in arguments):
        print("usage: python -m badgateway.reference [CHECKOUT]", file=sys.stderr)
        return 2
    root = Path(arguments[0]) if arguments else CHECKOUT
    if not arguments and not (root / "pyproject.toml").is_file():
        print("this is no checkout: name one to write to", file=sys.stderr)
        return 2
    for path, text in files(root).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
