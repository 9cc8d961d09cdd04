"""`python -m broker.cli`: the same as `lienthong`, for a program that starts another part of itself."""

from broker.cli.main import main

if __name__ == "__main__":
    main()
