"""What ``python -m controls`` and the command ``controls`` start."""

from __future__ import annotations


def main() -> None:
    """Run the command line; leaves with its exit code."""
    from controls.cli import app

    app(prog_name="controls")


if __name__ == "__main__":
    main()
