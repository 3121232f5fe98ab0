"""`python -m devops_agent` is the command line."""

from devops_agent.cli import main

if __name__ == "__main__":
    main()
